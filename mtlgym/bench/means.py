"""Means over the steps of a period, for its row in the log."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class Means:
    """Sums over the steps of the period so far."""

    losses: NDArray[np.float64]
    weights: NDArray[np.float64]
    reward: float = 0.0
    steps: int = 0

    @classmethod
    def none(cls, tasks: int) -> "Means":
        """No step yet."""
        return cls(np.zeros(tasks), np.zeros(tasks))

    def add(self, losses: NDArray[np.float64], weights: NDArray[np.float64], reward: float) -> None:
        """Count a step: the losses that it trained on, its weights and its reward."""
        self.losses = self.losses + losses
        self.weights = self.weights + weights
        self.reward += reward
        self.steps += 1

    def row(self) -> dict[str, Any]:
        """The means, in plain values."""
        return {
            "losses": (self.losses / self.steps).tolist(),
            "weights": (self.weights / self.steps).tolist(),
            "reward": self.reward / self.steps,
        }


def finite(value: float) -> float | None:
    """The value, None if it is not finite: JSON has no word for that."""
    return value if math.isfinite(value) else None
