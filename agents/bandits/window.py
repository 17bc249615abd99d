"""Counts and sums of the last rewards of each arm, at a cost that does not grow with their span."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Window:
    """How often each arm was pulled among the last pulls of its row, and what it earned then.

    Nothing is ever subtracted from a sum, so a huge reward that has left leaves no error behind.
    The window is a ring. When it has come round, all its pulls are old, and each slot is given what
    its arm's old pulls after it earned; that is the arm's sum once the slot is overwritten. What
    new pulls earn is added up apart.

    Attributes:
        size: pulls that count.
        seen: pulls of each row so far.
        pulls: of each arm within the window; (rows, arms).
    """

    def __init__(self, rows: int, arms: int, size: int) -> None:
        """An empty window of that many pulls."""
        self.size, self.seen = size, 0
        self.pulls = np.zeros((rows, arms))
        self._old, self._new = np.zeros((rows, arms)), np.zeros((rows, arms))
        self._arms = np.zeros((rows, size), np.int64)
        self._values = np.zeros((rows, size))

    @property
    def sums(self) -> NDArray[np.float64]:
        """Of the rewards of each arm within the window; (rows, arms)."""
        return self._old + self._new

    def add(self, chosen: NDArray[np.int64], rewards: NDArray[np.float64]) -> None:
        """Take in a pull of each row, (rows,), and let the one leave that is too old."""
        rows, slot = np.arange(len(chosen)), self.seen % self.size
        if self.seen and slot == 0:
            self._age(rows)
        if self.seen >= self.size:
            leaving = self._arms[:, slot]
            self.pulls[rows, leaving] -= 1
            self._old[rows, leaving] = self._values[:, slot]
        self._arms[:, slot], self._values[:, slot] = chosen, rewards
        self.pulls[rows, chosen] += 1
        self._new[rows, chosen] += rewards
        self.seen += 1

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that it keeps."""
        arrays = {"pulls": self.pulls, "old": self._old, "new": self._new}
        arrays |= {"arms": self._arms, "values": self._values}
        return {"seen": self.seen} | {name: array.copy() for name, array in arrays.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned for a window of this size."""
        self.seen, self.pulls = state["seen"], state["pulls"].copy()
        self._old, self._new = state["old"].copy(), state["new"].copy()
        self._arms, self._values = state["arms"].copy(), state["values"].copy()

    def _age(self, rows: NDArray[np.int64]) -> None:
        later = np.zeros_like(self._new)
        for slot in reversed(range(self.size)):
            place = rows, self._arms[:, slot]
            earned = self._values[:, slot].copy()
            self._values[:, slot] = later[place]
            later[place] += earned
        self._old, self._new = later, np.zeros_like(later)
