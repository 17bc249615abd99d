"""Values from small networks, for Q-learning and for the critic of an actor-critic."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mtlgym.agents.routing.networks import MOST, Adam, NetworkInputs, Stacked, network_inputs
from mtlgym.agents.routing.observations import Index, ObservationReader
from mtlgym.agents.routing.routing_agent import DecisionBatch
from mtlgym.agents.streams import generator


class QNetwork:
    """Q(agent, depth, features, arm), a network for each agent and depth.

    A `learn` is one step of Adam down mean((target - Q)^2), which updates the networks of its rows
    only. Targets are clipped to [-1e6, 1e6].

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), https://arxiv.org/abs/1711.01239, Table 3,
    Q-learning with approximators.
    Differs from it, as far as is known, in that each transition is used once, when it comes. The
    optimizer and its learning rate are not published; Adam is ours.
    """

    def __init__(
        self,
        agents: int,
        reader: ObservationReader,
        arms: int,
        learning_rate: float,
        hidden: int,
        seed: int | None,
    ) -> None:
        """Create the networks.

        Args:
            agents: agents with values of their own.
            reader: of the observations.
            arms: arms to choose from; 1 where a state itself has a value.
            learning_rate: Adam's.
            hidden: width of the hidden layer.
            seed: seed of the parameters; None takes fresh entropy.
        """
        sizes = reader.features, hidden, arms
        self._network = Stacked((agents, reader.depths), sizes, generator(seed))
        self._adam = Adam(self._network, learning_rate)
        self._arms = arms

    def values(self, decisions: DecisionBatch) -> NDArray[np.float64]:
        """The values of all arms, a fresh array (N, arms); N may be 0."""
        if not len(decisions.agent):
            return np.zeros((0, self._arms))
        with torch.no_grad():
            return self._network(*_inputs(decisions)).double().numpy()

    def learn(self, decisions: DecisionBatch, chosen: Index, targets: NDArray[np.float64]) -> None:
        """Move the values of the chosen arms, (N,), towards their targets, (N,); N > 0."""
        inputs = _inputs(decisions)
        values = self._network(*inputs).gather(1, torch.from_numpy(chosen)[:, None])[:, 0]
        wanted = torch.from_numpy(targets.clip(-MOST, MOST).astype(np.float32))
        self._adam.step((wanted - values).square().mean(), *inputs[:2])

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that changes."""
        return self._adam.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`."""
        self._adam.load_state_dict(state)


def _inputs(decisions: DecisionBatch) -> NetworkInputs:
    return network_inputs(decisions.agent, decisions.seen.depth, decisions.seen.features)
