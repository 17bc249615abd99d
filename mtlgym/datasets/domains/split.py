"""Splits of each domain's samples into training, validation and test."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.datasets.domains.domains import Domains
from mtlgym.datasets.images.image_tasks import SPLITS


@dataclass(frozen=True)
class _Rule:
    """The sizes and the seed of a split.

    Attributes:
        fraction: of each class, for training and validation.
        validation: of those, held out.
        seed: of the draw.
        classes: the classes' names.
    """

    fraction: float
    validation: float
    seed: int
    classes: Sequence[str]


def split(
    domains: Domains, fraction: float, validation: float, seed: int
) -> dict[str, tuple[NDArray[np.int64], ...]]:
    """The samples of each domain that are "train", "val" and "test", in ascending order.

    Of a class with n samples, max(1, round(`fraction` n)) are for training, the rest for the test.
    Of a domain's k samples for training, round(`validation` k), but at least one unless
    `validation` is 0, are held out as "val": one at a time, of the class that has the most left,
    and never a class's last one. So it can be fewer, even none.

    With groups, whole groups are drawn, the same ones in every domain, and the counts are of
    groups.

    A domain's draw depends only on the seed, its name and its samples: some of the domains are
    split as they are among all. What is for training at a smaller fraction is among what is for
    training or held out at a larger one.

    Source: the protocol of Shen, Zhen, Worring, Shao (NeurIPS 2021), "Variational multi-task
    learning with Gumbel-softmax priors". Differs from its code in that samples are held out for
    validation; that chooses the best model on the test set.

    Args:
        domains: the samples.
        fraction: above 0 and below 1.
        validation: at least 0 and below 1.
        seed: at least 0.

    Raises:
        ValueError: for another fraction or seed, a class of which none is left for the test, or
            groups whose samples are of two classes; names domain, class and count.
    """
    checks.share("fraction", fraction)
    checks.fraction("validation", validation)
    checks.integer("seed", seed, 0)
    rule = _Rule(fraction, validation, seed, domains.classes)
    if domains.groups is None:
        drawn = [
            _parts(np.arange(len(labels)), labels, rule, [crc32(task.encode())], f"domain {task!r}")
            for task, labels in zip(domains.tasks, domains.labels, strict=True)
        ]
        return {name: tuple(parts[name] for parts in drawn) for name in SPLITS}
    parts = _parts(*_groups(domains, domains.groups), rule, [], "the groups of all domains")
    chosen = {
        name: tuple(np.flatnonzero(np.isin(own, part)) for own in domains.groups)
        for name, part in parts.items()
    }
    _check_classes(domains, chosen)
    return chosen


def _groups(
    domains: Domains, groups: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct groups in ascending order, and the class of each."""
    of_sample, labels = np.concatenate(groups), np.concatenate(domains.labels)
    units, first, inverse = np.unique(of_sample, return_index=True, return_inverse=True)
    classes = labels[first]
    wrong = np.flatnonzero(labels != classes[inverse])
    if len(wrong):
        names = [domains.classes[each] for each in (classes[inverse][wrong[0]], labels[wrong[0]])]
        ends = np.cumsum([len(each) for each in groups])
        task = domains.tasks[int(np.searchsorted(ends, wrong[0], side="right"))]
        raise ValueError(
            f"group {of_sample[wrong[0]]} must be of one class: it is of {names[0]!r}, "
            f"and of {names[1]!r} in domain {task!r}"
        )
    return units, classes


def _parts(
    units: NDArray[np.int64], labels: NDArray[np.int64], rule: _Rule, key: list[int], where: str
) -> dict[str, NDArray[np.int64]]:
    """The units (samples or groups) in each of `SPLITS`, in ascending order.

    Args:
        units: to be drawn from.
        labels: the class of each.
        rule: how many.
        key: of the generators, beside the seed and the class.
        where: what the units are of, for messages.
    """
    orders, counts = [], []
    for label, name in enumerate(rule.classes):
        own = units[labels == label]
        count = max(1, round(rule.fraction * len(own)))
        if count >= len(own):
            raise ValueError(
                f"class {name!r} of {where} has {len(own)}; at a `fraction` of {rule.fraction}, "
                f"{count} would be for training and none for the test"
            )
        orders.append(np.random.default_rng([rule.seed, *key, label]).permutation(own))
        counts.append(count)
    # zeros at the end of a key change nothing, so that the last class's successor is the key here
    ties = np.random.default_rng([rule.seed, *key, len(counts)]).permutation(len(counts))
    left = _left(counts, rule.validation, ties.tolist())
    found: dict[str, list[NDArray[np.int64]]] = {name: [] for name in SPLITS}
    for order, count, kept in zip(orders, counts, left, strict=True):
        for name, part in zip(SPLITS, np.split(order, [kept, count]), strict=True):
            found[name].append(part)
    return {name: np.sort(np.concatenate(each)) for name, each in found.items()}


def _left(counts: Sequence[int], validation: float, ties: Sequence[int]) -> list[int]:
    """How many of each class's are left for training, at least one; of equals the first in `ties`.

    Args:
        counts: of each class, for training and validation.
        validation: share of the sum that is held out.
        ties: the classes in the order that decides between equals.
    """
    left = list(counts)
    wanted = max(round(validation * sum(counts)), int(validation > 0))
    heap = [(-left[each], rank, each) for rank, each in enumerate(ties)]
    heapq.heapify(heap)
    while wanted and -heap[0][0] > 1:
        most, rank, each = heap[0]
        heapq.heapreplace(heap, (most + 1, rank, each))
        left[each] -= 1
        wanted -= 1
    return left


def _check_classes(domains: Domains, chosen: dict[str, tuple[NDArray[np.int64], ...]]) -> None:
    """Refuse groups that leave a domain without a class for training or test."""
    for name in ("train", "test"):
        for task, labels, own in zip(domains.tasks, domains.labels, chosen[name], strict=True):
            missing = sorted({*range(len(domains.classes))} - {*labels[own].tolist()})
            if missing:
                raise ValueError(
                    f"no sample of class {domains.classes[missing[0]]!r} of domain {task!r} is in "
                    f"{name!r}: its groups are not those of the other domains"
                )
