"""Track the episodes of a vector of environments, and compute the returns of their decisions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


class Episodes:
    """Tracks the rows' episodes under Gymnasium's two modes of automatic reset.

    With `AutoresetMode.NEXT_STEP` the transition after an episode's end is the reset: its action
    is ignored and its reward 0, so there is nothing to learn from it. With `SAME_STEP`, recognised
    by `final_obs` or `final_info` in the info, and for a single environment, all transitions are
    real. `AutoresetMode.DISABLED` looks like `NEXT_STEP` and is not supported.

    Attributes:
        starting: (N,), rows whose next decision is an episode's first.
    """

    def __init__(self, rows: int | None) -> None:
        """Start with the first decision of an episode in each row.

        Args:
            rows: environments in the vector; None for a single one.
        """
        self._single = rows is None
        self.starting: Mask = np.ones(rows or 1, np.bool_)
        self._resets: Mask = np.zeros(rows or 1, np.bool_)  # rows whose next transition is a reset

    def real(self, terminated: Mask, truncated: Mask, info: dict[str, Any]) -> Mask:
        """Whether these transitions follow decisions, (N,), and are not resets; updates the rows.

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
        """Load a state returned by `state_dict`."""
        self.starting, self._resets = state["starting"].copy(), state["resets"].copy()


def reset_at_once(info: dict[str, Any], rows: int) -> Mask:
    """Rows that were reset in the same step that ended their episode, by the info; (rows,)."""
    for key in ("final_obs", "final_info"):
        if key in info:
            return np.asarray(info.get(f"_{key}", np.ones(rows)), np.bool_)
    return np.zeros(rows, np.bool_)


Entries = dict[str, NDArray[Any]]


class EpisodeReturns:
    """Stores the decisions of open episodes, and gives them with their returns at the end.

    The return of decision k is G_k = r_k + gamma G_{k+1}, and r_k for the last one. The
    returns of a truncated episode count rewards after its end as 0.
    """

    def __init__(self, rows: int | None, gamma: float) -> None:
        """No decision yet.

        Args:
            rows: environments in the vector; None for a single one.
            gamma: discount, in [0, 1].
        """
        self._gamma = gamma
        self._steps: list[Entries] = []
        self._start = np.zeros(rows or 1, np.int64)  # where in `_steps` each row's episode began

    def add(self, rewards: NDArray[np.float64], real: Mask, entries: Entries) -> None:
        """Store one step of all rows.

        Args:
            rewards: (N,).
            real: (N,), rows in which there was a decision.
            entries: values to store with the decisions, arrays (N, ...) by any names but "reward",
                "real", "return" and "first"; not copied.
        """
        self._steps.append({**entries, "reward": rewards, "real": real})

    def finish(self, ended: Mask) -> Entries | None:
        """Remove and return the decisions of the rows whose episodes ended with the last step.

        Args:
            ended: (N,).

        Returns:
            The entries as `add` took them, without "real", of all K decisions in the order of the
            steps, (K, ...); with "return", (K,), and "first", (K,), True where an episode begins.
            None if no row has ended.
        """
        if not ended.any():
            return None
        oldest = int(self._start[ended].min())
        steps = self._steps[oldest:]
        stacked = {name: np.stack([step[name] for step in steps]) for name in steps[0]}
        number = np.arange(oldest, len(self._steps))[:, None]
        member = (number >= self._start) & ended & stacked.pop("real")
        stacked["return"] = self._returns(stacked["reward"])
        # with NEXT_STEP a reset, which is no decision, comes before an episode's first one
        stacked["first"] = member & (member.cumsum(axis=0) == 1)
        self._drop(ended)
        return {name: values[member] for name, values in stacked.items()}

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that changes."""
        steps = [{name: values.copy() for name, values in step.items()} for step in self._steps]
        return {"steps": steps, "start": self._start.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`."""
        self._steps = [
            {name: values.copy() for name, values in step.items()} for step in state["steps"]
        ]
        self._start = state["start"].copy()

    def _returns(self, rewards: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of each step, (steps, N); valid for the rows that end with the last one."""
        returns = rewards.copy()
        for step in range(len(returns) - 2, -1, -1):
            returns[step] += self._gamma * returns[step + 1]
        return returns

    def _drop(self, ended: Mask) -> None:
        self._start[ended] = len(self._steps)
        oldest = int(self._start.min())
        del self._steps[:oldest]
        self._start -= oldest
