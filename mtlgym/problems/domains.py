"""Domains with one label space as tasks, with few labels: variational multi-task learning."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from mtlgym import checks
from mtlgym.datasets.domains import sets
from mtlgym.datasets.domains import split as domain_split
from mtlgym.datasets.domains.domains import Domains, take
from mtlgym.lookup import lookup
from mtlgym.metrics import Metric
from mtlgym.models.annealing import Annealing
from mtlgym.models.task_rows import ALL
from mtlgym.models.vmtl import VMTL
from mtlgym.models.vmtl_design import Design
from mtlgym.problems import fgsm
from mtlgym.problems.predictive import predict, quality
from mtlgym.problems.problem import Problem
from mtlgym.problems.scaling import SCALES, scaling

CLOSE = 1e-9  # keeps products of one value from a division by 0


@dataclass(frozen=True, eq=False)
class DomainBatch:
    """Samples of one domain.

    Attributes:
        x: scaled features.
        labels: classes.
        related: for each sample, each task's training features of its class, averaged with
            attention; None where the class means are used.
    """

    x: Float[Tensor, "samples width"]
    labels: Int[Tensor, " samples"]
    related: Float[Tensor, "samples tasks width"] | None = None

    def to(self, device: Any) -> "DomainBatch":
        """The batch on that device."""
        moved = {name: value.to(device) for name, value in vars(self).items() if value is not None}
        return replace(self, **moved)


class DomainSplit:
    """One split of the domains, with one source for each domain."""

    def __init__(
        self,
        features: Sequence[Float[Tensor, "_ width"]],
        labels: Sequence[Int[Tensor, " _"]],
        classes: int,
        related: Sequence[Float[Tensor, "_ tasks width"]] | None = None,
    ) -> None:
        """Keep each domain's samples, and what is related to them if it is used."""
        self.sizes = tuple(len(each) for each in labels)
        self.features = tuple(features)
        self.labels = tuple(labels)
        self.classes = classes
        self._related = related

    def batch(self, source: int, indices: NDArray[Any], seed: int) -> DomainBatch:
        """These samples of a domain; `seed` is not used."""
        chosen = torch.from_numpy(np.asarray(indices))
        related = None if self._related is None else self._related[source][chosen]
        return DomainBatch(self.features[source][chosen], self.labels[source][chosen], related)

    def order(self, source: int, batch_size: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Whole batches, as many as would hold all samples once, with all classes alike.

        The classes come in rounds, each round in a fresh order; each class gives its samples in
        fresh permutations, one after the other. So a batch of k samples a class has k of each
        class.

        Source: the published code of Variational Multi-Task Learning, with 4 samples a class.
        """
        wanted = -(-self.sizes[source] // batch_size) * batch_size
        labels = self.labels[source].numpy()
        present = np.unique(labels)
        rounds = -(-wanted // len(present))
        lines = [_repeated(np.flatnonzero(labels == each), rounds, rng) for each in present]
        table = np.stack(lines)  # (classes, rounds)
        mixed = rng.permuted(np.tile(np.arange(len(present))[:, None], rounds), axis=0)
        return np.take_along_axis(table, mixed, axis=0).T.ravel()[:wanted]

    def centres(self) -> Float[Tensor, "tasks classes width"]:
        """The mean features of each domain's classes."""
        pairs = zip(self.features, self.labels, strict=True)
        return torch.stack([class_means(x, labels, self.classes) for x, labels in pairs])


def make_splits(
    domains: Domains,
    indices: dict[str, tuple[NDArray[np.int64], ...]],
    scale: Callable[[NDArray[np.float32]], Tensor],
    *,
    attend: bool,
) -> dict[str, DomainSplit]:
    """The splits of these indices; with `attend`, the training samples have related features."""
    splits = {}
    for name, parts in indices.items():
        pairs = list(zip(domains.features, domains.labels, parts, strict=True))
        features = [scale(x[part]) for x, _, part in pairs]
        labels = [torch.from_numpy(labels[part]) for _, labels, part in pairs]
        related = attention(features, labels) if attend and name == "train" else None
        splits[name] = DomainSplit(features, labels, len(domains.classes), related)
    return splits


def attention(
    features: Sequence[Float[Tensor, "_ width"]], labels: Sequence[Int[Tensor, " _"]]
) -> list[Float[Tensor, "_ tasks width"]]:
    """For each sample and task, a mean of the task's features of the sample's class.

    The weights are the softmax of the products of the sample's and the others' features, over the
    range of these products.

    Source: the published code of Variational Multi-Task Learning.
    """
    return [
        torch.stack([_attended(x, own, *other) for other in zip(features, labels, strict=True)], 1)
        for x, own in zip(features, labels, strict=True)
    ]


def class_means(
    features: Float[Tensor, "samples width"], labels: Tensor, classes: int
) -> Float[Tensor, "classes width"]:
    """The mean of each class's samples; zeros for a class without any.

    Args:
        features: of the samples.
        labels: each sample's class, (samples,).
        classes: their number.
    """
    sums = features.new_zeros(classes, features.shape[1]).index_add_(0, labels, features)
    counts = torch.bincount(labels, minlength=classes).clamp_min(1)
    return sums / counts[:, None]


def _attended(x: Tensor, own: Tensor, others: Tensor, theirs: Tensor) -> Tensor:
    same = own[:, None] == theirs
    products = x @ others.mT
    high = products.masked_fill(~same, -torch.inf).amax(dim=1, keepdim=True)
    low = products.masked_fill(~same, torch.inf).amin(dim=1, keepdim=True)
    scaled = (products / (high - low + CLOSE)).masked_fill(~same, -torch.inf)
    return scaled.softmax(dim=1) @ others


def _repeated(
    samples: NDArray[np.int64], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """`count` of the samples, in fresh permutations one after the other."""
    turns = -(-count // len(samples))
    return np.concatenate([rng.permutation(samples) for _ in range(turns)])[:count]


LARGEST = 1e30  # shift of an attack
RELATED = ("class_mean", "attention")


@dataclass(frozen=True)
class Labels:
    """Which samples are labelled, and what features they have.

    Attributes:
        features: `files` for those in the data set's folder, the name of a folder in its folder
            `features`, or `auto` to search for them.
        scaling: a key of `SCALES`: how the features are scaled.
        fraction: share of each class's samples that are for training and validation, at least one.
        validation: share of these that is held out, leaving at least one sample of each class.
        split_seed: of the choice of the samples.
        related: the features that represent another task's samples of the class in z's prior: their
            `class_mean` (the text), or a mean by `attention` for each sample (the code).
    """

    features: str = "auto"
    scaling: str = "none"
    fraction: float = 0.05
    validation: float = 0.2
    split_seed: int = 0
    related: str = "class_mean"

    def __post_init__(self) -> None:
        """Refuse values that are not allowed."""
        lookup(SCALES, self.scaling, "scaling")
        if not isinstance(self.features, str):
            raise ValueError(f"`features` must be a text, not {self.features!r}")
        checks.share("fraction", self.fraction)
        checks.fraction("validation", self.validation)
        checks.integer("split_seed", self.split_seed, least=0)
        lookup(dict.fromkeys(RELATED), self.related, "`related`")


@dataclass(frozen=True)
class Measurement:
    """How a model is measured.

    Attributes:
        test_samples: draws that predictions are means over; 0 for the posteriors' means, as
            published.
        attack: shifts of the features by the fast gradient sign method, for each of which the
            accuracy is measured too.
    """

    test_samples: int = 0
    attack: Sequence[float] = ()

    def __post_init__(self) -> None:
        """Refuse values that are not allowed."""
        checks.integer("test_samples", self.test_samples, least=0)
        if isinstance(self.attack, str) or not isinstance(self.attack, Sequence):
            raise ValueError(f"`attack` must be a list or tuple of shifts, not {self.attack!r}")
        for place, epsilon in enumerate(self.attack):
            checks.real(f"attack[{place}]", epsilon, 0.0)
            if epsilon > LARGEST:
                raise ValueError(f"shifts of `attack` must be at most {LARGEST:g}, not {epsilon!r}")
        if len({f"{epsilon:g}" for epsilon in self.attack}) < len(self.attack):
            raise ValueError(f"`attack` must have each shift once, not {self.attack!r}")


# Each field of these is an option of its own.
LABELS, DESIGN, ANNEALING, MEASUREMENT = Labels(), Design(), Annealing(), Measurement()


def build(
    name: str,
    data: str = "auto",
    tasks: int | Sequence[str] | None = None,
    labels: Labels = LABELS,
    design: Design = DESIGN,
    annealing: Annealing = ANNEALING,
    measurement: Measurement = MEASUREMENT,
) -> Problem:
    """Domains with one label space and few labels each, as in variational multi-task learning.

    A loss is the negative log likelihood in nats and, where z or w is a distribution, their
    weighted divergences from priors that are mixtures of the other tasks' posteriors, so that task
    weights and gradient methods act on all three. Every batch has equally many samples of each
    class. Metrics are the accuracy (which alone counts in scores), the negative log likelihood and
    the calibration error.

    Source: Variational Multi-Task Learning (2021), an ICLR submission and a NeurIPS paper; its
    published code for what the text leaves open.
    Differs from it in that a part of the labelled samples is held out for validation, where the
    code chooses by the test samples; in that the loss is summed over tasks, not averaged; and in
    that without the real files emoji, as four artists drew them, are classified by their features.

    Args:
        name: of the data set, a key of `DOMAIN_SETS`.
        data: `auto`, `real` or `embedded`.
        tasks: names of domains, or the number of the first ones; all by default.
        labels: which samples are labelled, and their features.
        design: the model and its priors.
        annealing: the schedule of the objective during training.
        measurement: how the model is measured.

    Raises:
        ValueError: for an unknown name, a number that is not allowed, or data that do not fit
            together; names the domain and the class.
        FileNotFoundError: for `real` without the files; says how to get them.
    """
    domains, source = sets.load(name, data, labels.features)
    domains = take(domains, tasks)
    parts = domain_split.split(domains, labels.fraction, labels.validation, labels.split_seed)
    training = [x[part] for x, part in zip(domains.features, parts["train"], strict=True)]
    scale = scaling(labels.scaling, training)
    splits = make_splits(domains, parts, scale, attend=labels.related == "attention")
    centres = splits["train"].centres()
    return Problem(
        name=name,
        tasks=domains.tasks,
        splits=splits,
        build=partial(VMTL, design, centres, annealing),
        losses=losses,
        task_loss=task_loss,
        measure=partial(measure, domains.tasks, measurement),
        metrics=tuple(_metrics(domains, measurement)),
        source=source,
        findings=partial(findings, domains.width),
    )


office_home = partial(build, "office_home")
office_caltech = partial(build, "office_caltech")
imageclef = partial(build, "imageclef")
domainnet = partial(build, "domainnet")


def losses(model: nn.Module, batch: Any) -> Float[Tensor, " tasks"]:
    """Each task's loss on its own samples; `batch` has an equally large `DomainBatch` for each."""
    batches = batch if isinstance(batch, tuple) else (batch,)
    return _losses(model, batches, ALL)


def task_loss(model: nn.Module, batch: DomainBatch, task: int) -> Float[Tensor, ""]:
    """One task's loss."""
    return _losses(model, (batch,), slice(task, task + 1))[0]


def _losses(model: nn.Module, batches: Sequence[DomainBatch], tasks: slice) -> Tensor:
    related = [each.related for each in batches if each.related is not None]
    return model(
        torch.stack([each.x for each in batches]),
        torch.stack([each.labels for each in batches]),
        torch.stack(related) if related else None,
        tasks,
    ).loss


def measure(
    tasks: tuple[str, ...], measurement: Measurement, model: VMTL, split: DomainSplit
) -> dict[str, float]:
    """Accuracy, likelihood and calibration of each domain that has samples in the split."""
    values: dict[str, float] = {}
    for index, task in enumerate(tasks):
        x, labels = split.features[index], split.labels[index]
        if not len(labels):
            continue
        probabilities = predict(model, x, index, measurement.test_samples).probabilities
        values |= {f"{task}/{name}": v for name, v in quality(probabilities, labels).items()}
        device = next(model.parameters()).device
        for epsilon in measurement.attack:
            shifted = fgsm.attack(model, x.to(device), labels.to(device), index, epsilon)
            found = predict(model, shifted, index, measurement.test_samples).probabilities
            values[f"{task}/{_attacked(epsilon)}"] = quality(found, labels)["accuracy"]
    return values


def findings(width: int, model: nn.Module) -> dict[str, Any]:
    """The features' width, and A of z and w: the other tasks' weights in each task's priors."""
    assert isinstance(model, VMTL)
    found = {name: weights.tolist() for name, weights in model.weights().items()}
    return {"feature_width": width, **({"relatedness": found} if found else {})}


def _metrics(domains: Domains, measurement: Measurement) -> list[Metric]:
    found = []
    for task in domains.tasks:
        found.append(Metric(task, "accuracy", "%", higher_is_better=True))
        found.append(Metric(task, "nll", "nats", judged=False))
        found.append(Metric(task, "ece", "%", judged=False))
        shifted = [_attacked(epsilon) for epsilon in measurement.attack]
        found += [Metric(task, each, "%", higher_is_better=True, judged=False) for each in shifted]
    return found


def _attacked(epsilon: float) -> str:
    return f"accuracy_fgsm_{epsilon:g}"
