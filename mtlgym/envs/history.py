"""What a run did so far, for pictures of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.record import Record


@dataclass
class History:
    """One row a step.

    Attributes:
        losses: (tasks,) arrays.
        weights: (tasks,) arrays.
        rewards: numbers.
    """

    losses: list[NDArray[np.float64]] = field(default_factory=list)
    weights: list[NDArray[np.float64]] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)

    def add(self, record: Record, reward: float) -> None:
        """Count one step."""
        info = record.to_info()
        self.losses.append(info["losses"])
        self.weights.append(info["weights"])
        self.rewards.append(reward)

    def state_dict(self) -> dict[str, Any]:
        """All rows."""
        return {
            "losses": np.array(self.losses),
            "weights": np.array(self.weights),
            "rewards": np.array(self.rewards),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "History":
        """The rows of a `state_dict`."""
        return cls(list(state["losses"]), list(state["weights"]), state["rewards"].tolist())
