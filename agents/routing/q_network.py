"""Values from small networks, for Q-learning and for the critic of an actor-critic."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mtlgym.agents.routing.networks import MOST, Adam, Rows, Stacked, rows
from mtlgym.agents.routing.observations import Index, States
from mtlgym.agents.routing.routing_agent import Situation
from mtlgym.agents.streams import generator


class QNetwork:
    """Q(agent, depth, features, arm), a network for each agent and depth.

    A `learn` is one step of Adam down mean((target - Q)^2), which moves the networks of its rows
    alone. Targets past 1e6 in size count as 1e6.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), https://arxiv.org/abs/1711.01239, Table 3,
    Q-learning with approximators.
    Differs from it, as far as is known, in that each `learn` is learnt from once, at once. The
    optimizer and its learning rate were not at hand; Adam is ours.
    """

    def __init__(
        self,
        agents: int,
        states: States,
        arms: int,
        learning_rate: float,
        hidden: int,
        seed: int | None,
    ) -> None:
        """Make the networks.

        Args:
            agents: agents with values of their own.
            states: what is observed.
            arms: arms to choose from; 1 where a state itself has a value.
            learning_rate: Adam's.
            hidden: width of the hidden layer.
            seed: start of the stream that draws the parameters; None takes fresh entropy.
        """
        sizes = states.features, hidden, arms
        self._network = Stacked((agents, states.depths), sizes, generator(seed))
        self._adam = Adam(self._network, learning_rate)
        self._arms = arms

    def values(self, situation: Situation) -> NDArray[np.float64]:
        """Of all arms, a fresh array (N, arms); N may be 0."""
        if not len(situation.agent):
            return np.zeros((0, self._arms))
        with torch.no_grad():
            return self._network(*_rows(situation)).double().numpy()

    def learn(self, situation: Situation, chosen: Index, targets: NDArray[np.float64]) -> None:
        """Bring the values of the chosen arms, (N,), nearer to their targets, (N,); N > 0."""
        inputs = _rows(situation)
        values = self._network(*inputs).gather(1, torch.from_numpy(chosen)[:, None])[:, 0]
        wanted = torch.from_numpy(targets.clip(-MOST, MOST).astype(np.float32))
        self._adam.step((wanted - values).square().mean(), *inputs[:2])

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that changes."""
        return self._adam.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self._adam.load_state_dict(state)


def _rows(situation: Situation) -> Rows:
    return rows(situation.agent, situation.seen.depth, situation.seen.features)
