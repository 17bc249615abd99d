"""Means over the steps of an epoch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class EpochMeans:
    """Sums over the steps of the epoch so far, for its row in the log."""

    losses: NDArray[np.float64]
    weights: NDArray[np.float64]
    reward: float = 0.0
    steps: int = 0

    @classmethod
    def none(cls, tasks: int) -> "EpochMeans":
        """No step yet."""
        return cls(np.zeros(tasks), np.zeros(tasks))

    def add(self, losses: NDArray[np.float64], reward: float, info: dict[str, Any]) -> None:
        """Count a step: the losses that it trained on, its weights and its reward."""
        self.losses = self.losses + losses
        self.weights = self.weights + info["weights"]
        self.reward += reward
        self.steps += 1
