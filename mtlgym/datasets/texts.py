"""Labelled texts, as the loaders of text tasks return them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class TextTask:
    """One task over texts.

    Attributes:
        name: the task's name.
        labels: the classes as the files spell them, in the order of the indices; empty where the
            task is to predict a score.
        pairs: whether a sample is two texts.
        metrics: names of what it is measured by: `accuracy`, `f1`, `matthews`, `pearson`,
            `spearman`.
    """

    name: str
    labels: tuple[str, ...]
    pairs: bool
    metrics: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Texts:
    """The samples of one task in one split.

    Attributes:
        first: the texts, or the first of each pair.
        second: the second of each pair, None where there are no pairs.
        labels: class indices (samples,) int64, or scores (samples,) float32.
    """

    first: Sequence[str]
    second: Sequence[str] | None
    labels: NDArray[Any]
