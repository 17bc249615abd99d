"""Samples of domains: splits that feed batches with all classes alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from mtlgym.datasets.domains.domains import Domains

CLOSE = 1e-9  # keeps products of one value from a division by 0


@dataclass(frozen=True, eq=False)
class DomainBatch:
    """Samples of one domain.

    Attributes:
        x: scaled features.
        labels: classes.
        related: what each task's training features of a sample's class come to, for that sample;
            None where the classes' means do.
    """

    x: Float[Tensor, "samples width"]
    labels: Int[Tensor, " samples"]
    related: Float[Tensor, "samples tasks width"] | None = None

    def to(self, device: Any) -> "DomainBatch":
        """The batch on that device."""
        moved = {name: value.to(device) for name, value in vars(self).items() if value is not None}
        return replace(self, **moved)


class DomainSplit:
    """One split of the domains: a source a domain."""

    def __init__(
        self,
        features: Sequence[Float[Tensor, "_ width"]],
        labels: Sequence[Int[Tensor, " _"]],
        classes: int,
        related: Sequence[Float[Tensor, "_ tasks width"]] | None = None,
    ) -> None:
        """Hold each domain's samples, and what is related to them if it is wanted."""
        self.sizes = tuple(len(each) for each in labels)
        self.features = tuple(features)
        self.labels = tuple(labels)
        self.classes = classes
        self._related = related

    def batch(self, source: int, indices: NDArray[Any], seed: int) -> DomainBatch:
        """These samples of a domain; nothing is drawn by chance."""
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
    """So many of the samples, in fresh permutations one after the other."""
    turns = -(-count // len(samples))
    return np.concatenate([rng.permutation(samples) for _ in range(turns)])[:count]
