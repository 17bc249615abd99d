"""Advantage actor-critic: networks choose the arms and learn from each step."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.agents.routing import routing_agent
from mtlgym.agents.routing.networks import MOST
from mtlgym.agents.routing.q_network import QNetwork
from mtlgym.agents.routing.routing_agent import DecisionBatch, RoutingShell, TransitionBatch
from mtlgym.agents.routing.softmax_policy import SoftmaxPolicy, policy_entries


@dataclass(eq=False)
class ActorCritic:
    """Make decisions likelier in proportion to their advantage, estimated one step ahead.

    The policy pi is the softmax of a network of two layers, one for each agent and depth, which
    sees the observed value and the one-hot task, or the one-hot state; the values V are those of
    as many networks of one output. Each `learn` takes one step of Adam up and one down:

        up    mean over rows of A log pi(a | s) + entropy H(pi(. | s)),
        down  mean over rows of (r + gamma V(s') - V(s))^2,    A = r + gamma V(s') - V(s),

    with A and V(s') constants for the gradient, and A with the V before its step. V(s') is 0 where
    the episode has terminated; truncation does not stop the bootstrap from the last observation.
    Rewards are clipped to [-1e6, 1e6]. Arms that `info["action_mask"]` forbids have a probability
    of 0.

    Source: Mnih et al. (ICML 2016), https://arxiv.org/abs/1602.01783, algorithm S3; the networks of
    Rosenbaum, Klinger, Riemer (ICLR 2018), https://arxiv.org/abs/1711.01239, Table 3.
    Differs from it in that it looks one step ahead, that policy and values share no layer, and in
    the optimizer, Adam for each network on its own.

    Attributes:
        observation_space: the environment's: `Dict(value, task, depth)`, `Discrete` or `Box`, or a
            vector of these. Vectors are reset by `AutoresetMode.NEXT_STEP` or `SAME_STEP`, not
            `DISABLED`.
        action_space: `Discrete(arms)`, or `MultiDiscrete([arms] * rows)`.
        seed: seed of its random generators; None takes fresh entropy.
        learning_rate: Adam's for the policy, at least 0.
        value_learning_rate: Adam's for the values, at least 0.
        entropy: weight of the policies' entropies, per nat, at least 0.
        hidden: width of the networks' hidden layers.
        gamma: discount, in [0, 1].
        dispatch: which agent decides: "task", one for each task; "single", one for all; "learned",
            the one that a dispatching agent draws at the start of each episode.

    Raises:
        ValueError: for other spaces, or a setting out of its range.
    """

    observation_space: spaces.Space
    action_space: spaces.Space
    _: KW_ONLY
    seed: int | None = None
    learning_rate: float = 1e-3
    value_learning_rate: float = 3e-3
    entropy: float = 0.0
    hidden: int = 64
    gamma: float = 1.0
    dispatch: str = "task"

    def __post_init__(self) -> None:
        """Check the settings and create the networks."""
        self._shell = RoutingShell(self)
        for name in ("learning_rate", "value_learning_rate", "entropy"):
            checks.real(name, vars(self)[name], 0.0)
        checks.integer("hidden", self.hidden, least=1)
        agents, reader = self._shell.dispatch.agents, self._shell.reader
        sizes = reader.features, self.hidden, self._shell.arms.count
        rng, rate = self._shell.rng, self.value_learning_rate
        self._actor = SoftmaxPolicy((agents, reader.depths), sizes, self.learning_rate, rng)
        self._critic = QNetwork(agents, reader, 1, rate, self.hidden, self.seed)
        self._parts: dict[str, Any] = {"policy": self._actor, "critic": self._critic}

    distribution, act, greedy = routing_agent.distribution, routing_agent.act, routing_agent.greedy
    learn, state_dict = routing_agent.learn, routing_agent.state_dict
    load_state_dict = routing_agent.load_state_dict

    def _update(self, transitions: TransitionBatch) -> None:
        """One step of the policy up and one of the values down."""
        real = transitions.real
        if not real.any():
            return
        before, chosen = transitions.before.take(real), transitions.chosen[real]
        targets, goes_on = transitions.rewards.clip(-MOST, MOST), ~transitions.terminated
        following = self._critic.values(transitions.after.take(goes_on))[:, 0]
        targets[goes_on] += self.gamma * following
        targets = targets[real]
        advantages = (targets - self._critic.values(before)[:, 0]) / len(targets)
        self._actor.learn(policy_entries(before, chosen), advantages, self.entropy / len(targets))
        self._critic.learn(before, np.zeros_like(chosen), targets)

    def _policy(self, decisions: DecisionBatch) -> NDArray[np.float64]:
        return self._actor.distribution(decisions)

    _scores = _policy
