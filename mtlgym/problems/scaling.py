"""Scaling of features, fitted to the training split alone."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtlgym.lookup import lookup

Scale = Callable[[NDArray[np.float32]], Tensor]
LEAST = 1e-6  # a deviation or a root mean square that is divided by


def none(training: Sequence[NDArray[np.float32]]) -> Scale:
    """Features as they are."""
    return lambda x: torch.from_numpy(np.ascontiguousarray(x))


def standard(training: Sequence[NDArray[np.float32]]) -> Scale:
    """Each feature's mean becomes 0 and its deviation 1, over all domains' training samples.

    One that does not change among these is shifted only.
    """
    pooled = np.concatenate([np.asarray(x, np.float64) for x in training])
    mean, deviation = pooled.mean(axis=0), pooled.std(axis=0)
    deviation[deviation < LEAST] = 1.0
    return lambda x: torch.from_numpy(((x - mean) / deviation).astype(np.float32))


def unit(training: Sequence[NDArray[np.float32]]) -> Scale:
    """Each sample's features divided by their root mean square; independent of other samples."""

    def scale(x: NDArray[np.float32]) -> Tensor:
        size = np.sqrt(np.square(x, dtype=np.float64).mean(axis=1, keepdims=True))
        return torch.from_numpy((x / np.maximum(size, LEAST)).astype(np.float32))

    return scale


SCALES = {"none": none, "standard": standard, "unit": unit}


def scaling(name: str, training: Sequence[NDArray[np.float32]]) -> Scale:
    """The scaling of that name, fitted to the domains' training features, (samples, width) each.

    Raises:
        ValueError: for an unknown name; suggests the nearest one.
    """
    return lookup(SCALES, name, "scaling")(training)
