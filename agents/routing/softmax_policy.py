"""Policies from small networks, for policy-gradient agents."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mtlgym.agents.routing.episodes import Entries
from mtlgym.agents.routing.networks import Adam, Stacked, network_inputs
from mtlgym.agents.routing.observations import Index
from mtlgym.agents.routing.routing_agent import DecisionBatch


class SoftmaxPolicy:
    """pi = softmax of the logits of an agent's and depth's network, over the allowed arms."""

    def __init__(
        self,
        networks: tuple[int, int],
        sizes: tuple[int, int, int],
        learning_rate: float,
        rng: np.random.Generator,
    ) -> None:
        """Create the networks.

        Args:
            networks: agents and depths.
            sizes: features, hidden units and arms of each network.
            learning_rate: Adam's.
            rng: draws the seed of the parameters.
        """
        self._network = Stacked(networks, sizes, rng)
        self._adam = Adam(self._network, learning_rate)

    def distribution(self, decisions: DecisionBatch) -> NDArray[np.float64]:
        """The policy in each row, (N, arms)."""
        inputs = network_inputs(decisions.agent, decisions.seen.depth, decisions.seen.features)
        with torch.no_grad():
            logits = self._network(*inputs)
        return _masked(logits.double(), decisions.allowed).softmax(dim=1).numpy()

    def learn(self, decided: Entries, weights: NDArray[np.float64], entropy: float = 0.0) -> None:
        """One step of Adam up sum_k (weights_k log pi(chosen_k) + entropy H(pi_k)).

        Only the networks of the decisions' agents and depths change.

        Args:
            decided: K decisions, with the keys of `policy_entries`.
            weights: (K,).
            entropy: weight of the policies' entropies H, in nats.
        """
        inputs = network_inputs(decided["agent"], decided["depth"], decided["features"])
        logits = _masked(self._network(*inputs), decided["allowed"])
        chances = logits.log_softmax(dim=1)
        taken = chances.gather(1, torch.from_numpy(decided["chosen"])[:, None])[:, 0]
        objective = (torch.from_numpy(weights.astype(np.float32)) * taken).sum()
        if entropy:
            finite = chances.masked_fill(~torch.from_numpy(decided["allowed"]), 0.0)
            objective = objective - entropy * (finite.exp() * finite).sum()
        self._adam.step(-objective, *inputs[:2])

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that changes."""
        return self._adam.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`."""
        self._adam.load_state_dict(state)


def policy_entries(decisions: DecisionBatch, chosen: Index) -> Entries:
    """The arrays that a policy learns from N decisions by; chosen arms count as allowed."""
    allowed = decisions.allowed.copy()
    allowed[np.arange(len(chosen)), chosen] = True
    return {
        "agent": decisions.agent,
        "depth": decisions.seen.depth,
        "features": decisions.seen.features,
        "allowed": allowed,
        "chosen": chosen,
    }


def _masked(
    logits: Float[Tensor, "rows arms"], allowed: NDArray[np.bool_]
) -> Float[Tensor, "rows arms"]:
    return logits.masked_fill(~torch.from_numpy(allowed), -torch.inf)
