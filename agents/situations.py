"""What is to be decided, and what came of it, in all rows of a vector of environments."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.agents.episodes import Rows
from mtlgym.agents.states import Index, Seen


@dataclass(frozen=True, eq=False)
class Situation:
    """What N rows are to decide.

    Attributes:
        agent: (N,), who decides.
        seen: the observations.
        allowed: (N, arms), at least one in each row.
    """

    agent: Index
    seen: Seen
    allowed: NDArray[np.bool_]

    def take(self, rows: NDArray[Any]) -> "Situation":
        """Those rows alone, by a mask (N,) or by their numbers."""
        return Situation(self.agent[rows], self.seen.take(rows), self.allowed[rows])


@dataclass(frozen=True, eq=False)
class Step:
    """What was decided in N rows, and what came of it.

    Attributes:
        before: the situations that were decided on.
        chosen: (N,), arms.
        rewards: (N,).
        after: what followed: at an episode's end its last observation where the environment gave
            it, which it must where the episode was truncated; the same agents.
        real: (N,), False where a vector environment reset the row instead.
        terminated: (N,), rows whose episode's end has nothing after it.
        ended: (N,), rows whose episode is over, terminated or truncated.
    """

    before: Situation
    chosen: Index
    rewards: NDArray[np.float64]
    after: Situation
    real: Rows
    terminated: Rows
    ended: Rows
