"""Features: pure functions of a record, one row a task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mtlgym.record import Record

LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Feature:
    """A feature and the bounds of its values.

    Attributes:
        function: `record -> (tasks,)`.
        low: least value.
        high: greatest value.
    """

    function: Callable[[Record], Tensor]
    low: float
    high: float


def losses(record: Record) -> Float[Tensor, " tasks"]:
    """The raw losses, in each task's unit.

    Source: Dai et al. (UAI 2023), section 3.2.2.
    """
    return record.losses


def log_losses(record: Record) -> Float[Tensor, " tasks"]:
    """The losses' natural logarithms, of at least the smallest normal number."""
    return record.losses.clamp(min=torch.finfo(record.losses.dtype).tiny).log()


def relative_losses(record: Record) -> Float[Tensor, " tasks"]:
    """The losses divided by L_base, as IGBv1 balances them; 1 until L_base is known.

    Source: Dai et al. (UAI 2023), eq. 3.
    """
    if record.base_losses is None:
        return torch.ones_like(record.losses)
    return record.losses.double() / record.base_losses


def weights(record: Record) -> Float[Tensor, " tasks"]:
    """The last decision's task weights; zeros before the first."""
    if record.weights is None:
        return torch.zeros_like(record.losses)
    return record.weights


def since_chosen(record: Record) -> Float[Tensor, " tasks"]:
    """Steps since each task was last trained on, or since the start if it never was."""
    if record.since_chosen is None:
        return torch.zeros_like(record.losses)
    return record.since_chosen.to(record.losses)


def progress(record: Record) -> Float[Tensor, " tasks"]:
    """The share of the budget that is used, in [0, 1], the same for every task."""
    return torch.full_like(record.losses, record.progress)


def lr(record: Record) -> Float[Tensor, " tasks"]:
    """The learning rate divided by the option `lr`, the same for every task."""
    return torch.full_like(record.losses, record.lr / record.first_lr)


FEATURES = {
    "log_losses": Feature(log_losses, -1000.0, 1000.0),
    "losses": Feature(losses, 0.0, LARGEST),
    "lr": Feature(lr, 0.0, LARGEST),
    "progress": Feature(progress, 0.0, 1.0),
    "relative_losses": Feature(relative_losses, 0.0, LARGEST),
    "since_chosen": Feature(since_chosen, 0.0, LARGEST),
    "weights": Feature(weights, 0.0, LARGEST),
}


class Observer:
    """Converts records to observations: the named features one after another, (features n,)."""

    def __init__(self, names: Sequence[str], tasks: int) -> None:
        """Set up for these keys of `FEATURES`."""
        self._features = [FEATURES[name] for name in names]
        low = np.repeat([feature.low for feature in self._features], tasks).astype(np.float32)
        high = np.repeat([feature.high for feature in self._features], tasks).astype(np.float32)
        self.space = gym.spaces.Box(low, high, dtype=np.float32)

    def observe(self, record: Record) -> NDArray[np.float32]:
        """The observation of this record; values beyond a bound are clipped to it."""
        rows = [feature.function(record).double() for feature in self._features]
        values = torch.cat(rows).numpy()
        return np.clip(values, self.space.low, self.space.high).astype(np.float32)
