"""Policies from small networks, for agents that climb a policy gradient."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mtlgym.agents.routing.episodes import Entries
from mtlgym.agents.routing.networks import Adam, Stacked, rows
from mtlgym.agents.routing.observations import Index
from mtlgym.agents.routing.routing_agent import Situation


class SoftmaxPolicy:
    """pi = softmax of the logits of an agent's and depth's network, over the allowed arms."""

    def __init__(
        self,
        networks: tuple[int, int],
        sizes: tuple[int, int, int],
        learning_rate: float,
        rng: np.random.Generator,
    ) -> None:
        """Make the networks.

        Args:
            networks: agents and depths.
            sizes: features, hidden units and arms of each network.
            learning_rate: Adam's.
            rng: gives the seed of the parameters.
        """
        self._network = Stacked(networks, sizes, rng)
        self._adam = Adam(self._network, learning_rate)

    def distribution(self, situation: Situation) -> NDArray[np.float64]:
        """The policy in each row, (N, arms)."""
        inputs = rows(situation.agent, situation.seen.depth, situation.seen.features)
        with torch.no_grad():
            logits = self._network(*inputs)
        return _masked(logits.double(), situation.allowed).softmax(dim=1).numpy()

    def learn(self, made: Entries, weights: NDArray[np.float64], entropy: float = 0.0) -> None:
        """One step of Adam up sum_k (weights_k log pi(chosen_k) + entropy H(pi_k)).

        Only the networks of the decisions' agents and depths move.

        Args:
            made: K decisions, as `decided` names their parts.
            weights: (K,).
            entropy: weight of the policies' entropies H, in nats.
        """
        inputs = rows(made["agent"], made["depth"], made["features"])
        logits = _masked(self._network(*inputs), made["allowed"])
        chances = logits.log_softmax(dim=1)
        taken = chances.gather(1, torch.from_numpy(made["chosen"])[:, None])[:, 0]
        objective = (torch.from_numpy(weights.astype(np.float32)) * taken).sum()
        if entropy:
            finite = chances.masked_fill(~torch.from_numpy(made["allowed"]), 0.0)
            objective = objective - entropy * (finite.exp() * finite).sum()
        self._adam.step(-objective, *inputs[:2])

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that changes."""
        return self._adam.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self._adam.load_state_dict(state)


def decided(situation: Situation, chosen: Index) -> Entries:
    """The parts of N decisions that a policy learns from; a chosen arm counts as an allowed one."""
    allowed = situation.allowed.copy()
    allowed[np.arange(len(chosen)), chosen] = True
    return {
        "agent": situation.agent,
        "depth": situation.seen.depth,
        "features": situation.seen.features,
        "allowed": allowed,
        "chosen": chosen,
    }


def _masked(
    logits: Float[Tensor, "rows arms"], allowed: NDArray[np.bool_]
) -> Float[Tensor, "rows arms"]:
    return logits.masked_fill(~torch.from_numpy(allowed), -torch.inf)
