"""Running averages of numbers, one for each of many cells."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.agents.routing.observations import Index


class Averages:
    """The average of the numbers of each cell so far; 0 where there was none.

    The n-th number of a cell has the weight max(1 / n, least), so old ones fade.
    """

    def __init__(self, cells: int, least: float) -> None:
        """Start without numbers; `least` is in [0, 1]."""
        self._least = least
        self._values, self._visits = np.zeros(cells), np.zeros(cells)

    def of(self, cells: Index) -> NDArray[np.float64]:
        """The averages of these cells, (K,)."""
        return self._values[cells]

    def add(self, cells: Index, numbers: NDArray[np.float64]) -> None:
        """Add a number to each cell, both (K,); cells may repeat."""
        cells, mean, count = by_cell(cells, numbers)
        new = count.astype(np.float64)
        kept = remaining_share(self._visits[cells], new, self._least)
        self._values[cells] = kept * self._values[cells] + (1 - kept) * mean
        self._visits[cells] += count

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that changes."""
        return {"values": self._values.copy(), "visits": self._visits.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`."""
        self._values, self._visits = state["values"].copy(), state["visits"].copy()


def by_cell(cells: Index, numbers: NDArray[np.float64]) -> tuple[Index, NDArray[np.float64], Index]:
    """Each cell that occurs in (K,) once, the mean of its numbers, (K,), and how many they are."""
    found, which, count = np.unique(cells, return_inverse=True, return_counts=True)
    return found, np.bincount(which, numbers) / count, count


def remaining_share(
    visits: NDArray[np.float64], count: NDArray[np.float64], value_step: float
) -> NDArray[np.float64]:
    """The weight of a running average after `count` more numbers; their mean gets the rest.

    The n-th number has the weight max(1 / n, value_step): a plain average at first and, from the
    (1 / value_step)-th on, an exponential one. The plain part is exact, in any order; in the other
    the numbers of one batch, which have no order, have equal weights.

    Args:
        visits: how many numbers were added so far.
        count: how many are added now.
        value_step: in [0, 1]; 0 for the plain average.
    """
    limit = np.floor(1 / value_step) if value_step else np.inf
    plain = np.clip(limit - visits, 0, count)
    seen = visits + plain
    return visits / np.maximum(seen, 1) * (1 - value_step) ** (count - plain)
