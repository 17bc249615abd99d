"""Which transitions of a vector of environments are real, and where episodes start."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.bool_]


class Episodes:
    """Follows the rows' episodes through Gymnasium's two ways of resetting rows by themselves.

    With `AutoresetMode.NEXT_STEP` the transition after an episode's end is the reset: its action
    is ignored and its reward 0, so there is nothing to learn from it. With `SAME_STEP`, told by
    `final_obs` or `final_info` in the info, and for a single environment, all transitions are real.
    `AutoresetMode.DISABLED` cannot be told from `NEXT_STEP` and is not supported.

    Attributes:
        starting: (N,), rows whose next decision is an episode's first.
    """

    def __init__(self, rows: int | None) -> None:
        """All rows start.

        Args:
            rows: environments in the vector; None for a single one.
        """
        self._single = rows is None
        self.starting: Rows = np.ones(rows or 1, np.bool_)
        self._resets: Rows = np.zeros(rows or 1, np.bool_)  # rows whose next transition is a reset

    def real(self, terminated: Rows, truncated: Rows, info: dict[str, Any]) -> Rows:
        """Whether these transitions are decisions' results, (N,); then look at the next ones.

        Args:
            terminated: (N,), as the step returned it.
            truncated: (N,), likewise.
            info: the step's.
        """
        real = ~self._resets
        ended = (terminated | truncated) & real
        begun = ended & (self._single | reset_at_once(info, len(ended)))
        self.starting = self._resets | begun
        self._resets = ended & ~begun
        return real

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that changes."""
        return {"starting": self.starting.copy(), "resets": self._resets.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.starting, self._resets = state["starting"].copy(), state["resets"].copy()


def reset_at_once(info: dict[str, Any], rows: int) -> Rows:
    """Rows that the info says were reset in the very step that ended their episode, (rows,)."""
    for key in ("final_obs", "final_info"):
        if key in info:
            return np.asarray(info.get(f"_{key}", np.ones(rows)), np.bool_)
    return np.zeros(rows, np.bool_)
