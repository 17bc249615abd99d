"""Domains of one label space as tasks: each has its own samples of the same classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtlgym import checks


@dataclass(frozen=True, eq=False)
class Domains:
    """The samples of each domain, as features.

    Attributes:
        tasks: the domains' names.
        classes: the classes' names, the same ones in every domain.
        features: of each domain, (samples, width), finite.
        labels: of each domain, (samples,), places in `classes`; every domain has every class.
        groups: of each domain, (samples,); samples of an equal number, of whatever domain, depict
            the same object and must be in one split. None if no two samples do.
    """

    tasks: tuple[str, ...]
    classes: tuple[str, ...]
    features: tuple[NDArray[np.float32], ...]
    labels: tuple[NDArray[np.int64], ...]
    groups: tuple[NDArray[np.int64], ...] | None = None

    def __post_init__(self) -> None:
        """Refuse samples of other shapes, features that are not finite, classes without samples.

        Raises:
            ValueError: names the domain and, where there is one, the class.
        """
        for what, names in (("tasks", self.tasks), ("classes", self.classes)):
            if not names or len(set(names)) < len(names):
                raise ValueError(f"`{what}` must have at least one name, each once, not {names}")
        parts = {"features": self.features, "labels": self.labels, "groups": self.groups}
        for what, arrays in parts.items():
            if arrays is not None and len(arrays) != len(self.tasks):
                raise ValueError(
                    f"`{what}` must be of each of the {len(self.tasks)} domains, not {len(arrays)}"
                )
        for at in range(len(self.tasks)):
            self._check_shapes(at)
            self._check_labels(at)
            self._check_features(at)

    @property
    def width(self) -> int:
        """Number of features of a sample."""
        return int(self.features[0].shape[1])

    def _check_shapes(self, at: int) -> None:
        task, features = self.tasks[at], self.features[at]
        if features.ndim != 2 or not features.shape[1] or features.dtype != np.float32:
            raise ValueError(
                f"features of domain {task!r} must be float32 (samples, width), "
                f"not {features.dtype} {features.shape}"
            )
        if features.shape[1] != self.width:
            raise ValueError(
                f"features of domain {task!r} are {features.shape[1]} wide, "
                f"those of {self.tasks[0]!r} {self.width}"
            )
        for what, arrays in (("labels", self.labels), ("groups", self.groups)):
            if arrays is None:
                continue
            values = arrays[at]
            if values.shape != features.shape[:1] or values.dtype != np.int64:
                raise ValueError(
                    f"{what} of domain {task!r} must be int64 {features.shape[:1]}, one for each "
                    f"of its samples, not {values.dtype} {values.shape}"
                )

    def _check_labels(self, at: int) -> None:
        task, labels = self.tasks[at], self.labels[at]
        _check_range(task, labels, len(self.classes))
        missing = np.flatnonzero(np.bincount(labels, minlength=len(self.classes)) == 0)
        if len(missing):
            names = ", ".join(repr(self.classes[each]) for each in missing)
            raise ValueError(f"domain {task!r} has no sample of class {names}")

    def _check_features(self, at: int) -> None:
        wrong = np.argwhere(~np.isfinite(self.features[at]))
        if len(wrong):
            sample, place = wrong[0]
            raise ValueError(
                f"feature {place} of sample {sample} of domain {self.tasks[at]!r}, of class "
                f"{self.classes[self.labels[at][sample]]!r}, must be finite, "
                f"not {self.features[at][sample, place]}"
            )


def take(domains: Domains, tasks: int | Sequence[str] | None) -> Domains:
    """Some of the domains: those named, in that order, or the first ones, so many; all for None.

    Raises:
        ValueError: for an unknown domain or another number; names the nearest.
    """
    chosen = [domains.tasks.index(name) for name in checks.some_tasks(tasks, domains.tasks)]
    return Domains(
        tuple(domains.tasks[at] for at in chosen),
        domains.classes,
        tuple(domains.features[at] for at in chosen),
        tuple(domains.labels[at] for at in chosen),
        None if domains.groups is None else tuple(domains.groups[at] for at in chosen),
    )


def align(
    features: Mapping[str, NDArray[np.float32]],
    labels: Mapping[str, NDArray[np.int64]],
    classes: Mapping[str, Sequence[str]],
) -> Domains:
    """Domains of one label space from domains that each have a list of class names of their own.

    The classes' order becomes that of the first domain.

    Args:
        features: by domain, (samples, width).
        labels: by domain, (samples,), places in the domain's own list.
        classes: by domain, its own list.

    Raises:
        ValueError: if a domain's classes are not those of the first one; says which are missing
            and which are there besides. As `Domains` does for the rest.
    """
    tasks = tuple(features)
    order = tuple(classes[tasks[0]]) if tasks else ()
    aligned = [_renumbered(task, labels[task], classes[task], tasks[0], order) for task in tasks]
    return Domains(tasks, order, tuple(features.values()), tuple(aligned))


def _renumbered(
    task: str, labels: NDArray[np.int64], own: Sequence[str], first: str, order: Sequence[str]
) -> NDArray[np.int64]:
    """The labels as places in `order`, the classes of the domain `first`."""
    if len(set(own)) < len(own):
        raise ValueError(f"the classes of domain {task!r} must have each name once, not {own}")
    missing = [name for name in order if name not in own]
    extra = [name for name in own if name not in order]
    if missing or extra:
        said = [f"lacks {missing}"] * bool(missing) + [f"has besides {extra}"] * bool(extra)
        raise ValueError(
            f"the classes of domain {task!r} must be those of {first!r}: it {' and '.join(said)}"
        )
    _check_range(task, labels, len(own))
    place = {name: at for at, name in enumerate(order)}
    return np.array([place[name] for name in own], np.int64)[labels]


def _check_range(task: str, labels: NDArray[np.int64], count: int) -> None:
    """Refuse labels that are not in [0, count); names the domain and the sample."""
    wrong = np.flatnonzero((labels < 0) | (labels >= count))
    if len(wrong):
        raise ValueError(
            f"labels of domain {task!r} must lie in [0, {count}); that of sample {wrong[0]} is "
            f"{labels[wrong[0]]}"
        )
