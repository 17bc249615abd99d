"""Metrics of predictions for every pixel, over the pixels whose truth is known."""

from collections.abc import Callable
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mtlgym.datasets.augmentation import unit
from mtlgym.datasets.frames import CLASSES, FrameBatch
from mtlgym.metrics import Metric
from mtlgym.problems.dense_losses import known_depth, known_normal

METRICS = (
    Metric("segmentation", "miou", higher_is_better=True),
    Metric("segmentation", "pixel_accuracy", higher_is_better=True),
    Metric("depth", "abs_err", "m"),
    Metric("depth", "rel_err"),
    Metric("normal", "mean", "degrees"),
    Metric("normal", "median", "degrees"),
    Metric("normal", "within_11.25", higher_is_better=True),
    Metric("normal", "within_22.5", higher_is_better=True),
    Metric("normal", "within_30", higher_is_better=True),
)
BINS = 18_000  # of the angles from 0 to 180 degrees: the median is exact to 0.01 degrees


@runtime_checkable
class Meter(Protocol):
    """Accumulates the sums that a task's metrics need."""

    def add(self, output: Tensor, batch: FrameBatch) -> int:
        """Add a batch; return the number of its pixels whose truth is known."""
        ...

    def values(self) -> dict[str, float]:
        """The metrics of all batches so far, by name."""
        ...


class Segmentation:
    """Mean intersection over union and pixel accuracy, in [0, 1], from one confusion matrix.

    The mean is over the classes that occur in the truth or the prediction.

    Source: the published code of Liu, Johns, Davison (CVPR 2019), https://github.com/lorenmt/mtan.
    Differs from it in that a class that is in neither is left out, where the code gives NaN.
    """

    def __init__(self) -> None:
        """Start with empty counts."""
        self._confusion = np.zeros((len(CLASSES), len(CLASSES)), np.int64)  # truth, prediction

    def add(self, output: Tensor, batch: FrameBatch) -> int:
        """Add a batch; `output` are logits."""
        known = batch.label >= 0
        cells = len(CLASSES) * batch.label[known] + output.argmax(dim=1)[known]
        counts = torch.bincount(cells, minlength=self._confusion.size)
        self._confusion += counts.view(self._confusion.shape).cpu().numpy()
        return len(cells)

    def values(self) -> dict[str, float]:
        """The metrics of all batches so far."""
        right = self._confusion.diagonal()
        union = self._confusion.sum(axis=0) + self._confusion.sum(axis=1) - right
        there = union > 0
        return {
            "miou": float((right[there] / union[there]).mean()),
            "pixel_accuracy": float(right.sum() / self._confusion.sum()),
        }


class Depth:
    """Mean absolute error in metres, and mean error relative to the true depth."""

    def __init__(self) -> None:
        """Start with empty sums."""
        self._sums = np.zeros(3)  # absolute, relative, pixels

    def add(self, output: Tensor, batch: FrameBatch) -> int:
        """Add the errors of a batch; `output` is in metres."""
        known = known_depth(batch)
        truth = batch.depth[:, 0][known].double()
        error = (output[:, 0][known] - truth).abs()
        self._sums += [float(error.sum()), float((error / truth).sum()), len(truth)]
        return len(truth)

    def values(self) -> dict[str, float]:
        """The metrics of all batches so far."""
        absolute, relative, pixels = self._sums
        return {"abs_err": float(absolute / pixels), "rel_err": float(relative / pixels)}


class Normal:
    """Mean and median angle in degrees, and the shares of angles below three bounds."""

    def __init__(self) -> None:
        """Start with empty sums."""
        self._histogram = np.zeros(BINS, np.int64)
        self._sums = np.zeros(5)  # angle, below each bound, pixels

    def add(self, output: Tensor, batch: FrameBatch) -> int:
        """Add the angles of a batch; `output` has any length but 0."""
        degrees = angles(output, batch.normal)[known_normal(batch)]
        bins = (degrees * (BINS / 180)).long().clamp(0, BINS - 1)
        self._histogram += torch.bincount(bins, minlength=BINS).cpu().numpy()
        below = [float((degrees < bound).sum()) for bound in (11.25, 22.5, 30.0)]
        self._sums += [float(degrees.double().sum()), *below, len(degrees)]
        return len(degrees)

    def values(self) -> dict[str, float]:
        """The metrics of all batches so far."""
        *sums, pixels = self._sums
        mean, *within = (float(each / pixels) for each in sums)
        shares = dict(zip(("within_11.25", "within_22.5", "within_30"), within, strict=True))
        return {"mean": mean, "median": median(self._histogram) * 180 / BINS, **shares}


class PerBatch:
    """Another meter's metrics of each batch, averaged over the batches that have any truth."""

    def __init__(self, meter: Callable[[], Meter]) -> None:
        """Measure every batch by a fresh meter."""
        self._meter = meter
        self._batches: list[dict[str, float]] = []

    def add(self, output: Tensor, batch: FrameBatch) -> int:
        """Measure a batch."""
        meter = self._meter()
        pixels = meter.add(output, batch)
        if pixels:
            self._batches.append(meter.values())
        return pixels

    def values(self) -> dict[str, float]:
        """The averages over all batches so far."""
        return {k: float(np.mean([b[k] for b in self._batches])) for k in self._batches[0]}


# `mtan` is how the published code measures, in batches of 2, so that the figures depend on that.
METERS: dict[str, dict[str, Callable[[], Meter]]] = {
    "pooled": {"segmentation": Segmentation, "depth": Depth, "normal": Normal},
    "mtan": {
        "segmentation": Segmentation,
        "depth": partial(PerBatch, Depth),
        "normal": partial(PerBatch, Normal),
    },
}


def angles(
    output: Float[Tensor, "batch 3 height width"], truth: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch height width"]:
    """Degrees between the vectors: 2 atan2(|a - b|, |a + b|) of unit vectors.

    The arc cosine of their product would be wrong by 0.03 degrees at small angles.
    """
    output = unit(output)
    apart, along = (output - truth).norm(dim=1), (output + truth).norm(dim=1)
    return torch.rad2deg(2 * torch.atan2(apart, along))


def median(histogram: NDArray[np.int64]) -> float:
    """The lower median in bins, as if the values of a bin were spread over it evenly."""
    cumulative = histogram.cumsum()
    half = cumulative[-1] / 2
    index = int(np.searchsorted(cumulative, half))
    return float(index + 1 - (cumulative[index] - half) / histogram[index])
