"""What an episode of a bandit did so far, for pictures of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class BanditHistory:
    """One row a pull.

    Attributes:
        pulled: the arms.
        scores: all arms' scores after it.
    """

    pulled: list[int] = field(default_factory=list)
    scores: list[list[float]] = field(default_factory=list)

    def add(self, arm: int, scores: list[float]) -> None:
        """Count one pull."""
        self.pulled.append(arm)
        self.scores.append(scores)

    def shares(self, arms: int) -> NDArray[np.float64]:
        """Each arm's share of the pulls, (arms,); zeros before the first one."""
        counts = np.bincount(np.array(self.pulled, np.int64), minlength=arms)
        return counts / max(len(self.pulled), 1)

    def state_dict(self) -> dict[str, Any]:
        """All rows."""
        return {"pulled": np.array(self.pulled, np.int64), "scores": np.array(self.scores)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "BanditHistory":
        """The rows of a `state_dict`."""
        return cls(state["pulled"].tolist(), state["scores"].tolist())
