"""Action values in a table, for Q-learning."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.agents.averages import by_cell
from mtlgym.agents.situations import Situation
from mtlgym.agents.states import Index


class QTable:
    """Q(agent, depth, arm), 0 at first: each target pulls its own entry towards it.

    Q += learning_rate (target - Q). Of k targets that share an entry in one `learn`, the mean
    pulls as k equal ones would one after another, by 1 - (1 - learning_rate)^k.

    Attributes:
        table: (agents, depths, arms).
    """

    def __init__(self, agents: int, depths: int, arms: int, learning_rate: float) -> None:
        """Zeros.

        Args:
            agents: agents with values of their own.
            depths: depths, likewise.
            arms: arms to choose from.
            learning_rate: in [0, 1].
        """
        self.table = np.zeros((agents, depths, arms))
        self._rate = learning_rate

    def values(self, situation: Situation) -> NDArray[np.float64]:
        """Of all arms, a fresh array (N, arms)."""
        return self.table[situation.agent, situation.seen.depth]

    def learn(self, situation: Situation, chosen: Index, targets: NDArray[np.float64]) -> None:
        """Pull the values of the chosen arms, (N,), towards their targets, (N,)."""
        places = situation.agent, situation.seen.depth, chosen
        cells = np.ravel_multi_index(places, self.table.shape)
        cells, mean, count = by_cell(cells, targets)
        flat, kept = self.table.reshape(-1), (1 - self._rate) ** count
        flat[cells] = kept * flat[cells] + (1 - kept) * mean

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that changes."""
        return {"table": self.table.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.table = state["table"].copy()
