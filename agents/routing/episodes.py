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


Entries = dict[str, NDArray[Any]]


class Traces:
    """Keeps what was decided until it is known what came of it.

    The return of decision k is G_k = r_k + gamma G_{k+1}, and r_k for the last one. A truncated
    episode's returns are cut at its end: what would have followed counts as 0.
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

    def add(self, rewards: NDArray[np.float64], real: Rows, entries: Entries) -> None:
        """Keep one step of all rows.

        Args:
            rewards: (N,).
            real: (N,), rows in which there was a decision.
            entries: what is to be known of the decisions later, arrays (N, ...) by any names but
                "reward", "real", "return" and "first"; kept, not copied.
        """
        self._steps.append({**entries, "reward": rewards, "real": real})

    def finish(self, ended: Rows) -> Entries | None:
        """The decisions of the rows whose episodes ended by the last step, which are then dropped.

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
        # in NEXT_STEP a reset, which is no decision, comes before an episode's first one
        stacked["first"] = member & (member.cumsum(axis=0) == 1)
        self._drop(ended)
        return {name: values[member] for name, values in stacked.items()}

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that changes."""
        steps = [{name: values.copy() for name, values in step.items()} for step in self._steps]
        return {"steps": steps, "start": self._start.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self._steps = [
            {name: values.copy() for name, values in step.items()} for step in state["steps"]
        ]
        self._start = state["start"].copy()

    def _returns(self, rewards: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of each step, (steps, N); right for the rows that end with the last one."""
        returns = rewards.copy()
        for step in range(len(returns) - 2, -1, -1):
            returns[step] += self._gamma * returns[step + 1]
        return returns

    def _drop(self, ended: Rows) -> None:
        self._start[ended] = len(self._steps)
        oldest = int(self._start.min())
        del self._steps[:oldest]
        self._start -= oldest
