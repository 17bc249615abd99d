"""Advantage actor-critic: networks choose the arms and learn from each step."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.agents.bandits.arms import check_arms_state, settings_of
from mtlgym.agents.routing.networks import MOST
from mtlgym.agents.routing.q_network import QNetwork
from mtlgym.agents.routing.routing_agent import Decisions
from mtlgym.agents.routing.softmax_policy import SoftmaxPolicy, decided


@dataclass(eq=False)
class ActorCritic:
    """Make decisions likelier by how much better than expected the next state looks.

    The policy pi is the softmax of a network of two layers, one for each agent and depth, which
    sees the observed value and the one-hot task, or the one-hot state; the values V are those of
    as many networks of one output. Each `learn` makes one step of Adam up and one down:

        up    mean over rows of A log pi(a | s) + entropy H(pi(. | s)),
        down  mean over rows of (r + gamma V(s') - V(s))^2,    A = r + gamma V(s') - V(s),

    with A and V(s') taken as numbers, and A with the V before its step. V(s') is 0 where the
    episode has terminated; truncation ends nothing, so the last observation still has a value.
    Rewards past 1e6 in size count as 1e6. Arms that `info["action_mask"]` forbids have a
    probability of 0.

    Source: Mnih et al. (ICML 2016), https://arxiv.org/abs/1602.01783, algorithm S3; the networks of
    Rosenbaum, Klinger, Riemer (ICLR 2018), https://arxiv.org/abs/1711.01239, Table 3.
    Differs from it in that it looks one step ahead, that policy and values share no layer, and in
    the optimizer, Adam for each network on its own.

    Attributes:
        observation_space: the environment's: `Dict(value, task, depth)`, `Discrete` or `Box`, or a
            vector of these. Vectors are reset by `AutoresetMode.NEXT_STEP` or `SAME_STEP`, not
            `DISABLED`.
        action_space: `Discrete(arms)`, or `MultiDiscrete([arms] * rows)`.
        seed: start of its streams of chance; None takes fresh entropy.
        learning_rate: Adam's for the policy, at least 0.
        value_learning_rate: Adam's for the values, at least 0.
        entropy: weight of the policies' entropies, per nat, at least 0.
        hidden: width of the networks' hidden layers.
        gamma: discount, in [0, 1].
        dispatch: who decides: "task", an agent a task; "single", one for all; "learned", one that
            a dispatching agent draws at the start of each episode.

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
        """Check the settings and make the networks."""
        self._decisions = Decisions(
            self.observation_space,
            self.action_space,
            "ActorCritic",
            self.seed,
            self.dispatch,
            self.gamma,
        )
        for name in ("learning_rate", "value_learning_rate", "entropy"):
            checks.real(name, vars(self)[name], 0.0)
        checks.integer("hidden", self.hidden, least=1)
        agents, states = self._decisions.dispatch.agents, self._decisions.states
        sizes = states.features, self.hidden, self._decisions.arms.count
        rng, rate = self._decisions.rng, self.value_learning_rate
        self._policy = SoftmaxPolicy((agents, states.depths), sizes, self.learning_rate, rng)
        self._critic = QNetwork(agents, states, 1, rate, self.hidden, self.seed)

    def distribution(self, observation: Any, info: dict[str, Any]) -> NDArray[np.float64]:
        """What arms are drawn from, (N, arms); of a dispatcher's likeliest agent.

        Raises:
            ValueError: for an observation or a mask that does not fit.
        """
        return self._policy.distribution(self._decisions.look(observation, info))

    def act(self, observation: Any, info: dict[str, Any]) -> Any:
        """An arm drawn from the policy, an int, or one for each row, (rows,).

        Raises:
            ValueError: for an observation or a mask that does not fit; nothing has changed then.
        """
        policy = self._policy.distribution(self._decisions.consider(observation, info))
        return self._decisions.draw(policy)

    def greedy(self, observation: Any, info: dict[str, Any]) -> Any:
        """The likeliest arm, for evaluation: draws nothing and changes nothing.

        The observation may also be of a vector of any length N, whatever the agent's own is.

        Raises:
            ValueError: for an observation or a mask that does not fit.
        """
        best = self.distribution(observation, info).argmax(axis=1)
        return self._decisions.answer(observation, best)

    def learn(
        self,
        observation: Any,
        action: Any,
        reward: Any,
        next_observation: Any,
        terminated: Any,
        truncated: Any,
        info: dict[str, Any],
    ) -> None:
        """Take in one step.

        Raises:
            ValueError: for what does not fit the spaces, or a reward that is not finite; nothing
                has changed then.
        """
        step = self._decisions.step(
            observation, action, reward, next_observation, terminated, truncated, info
        )
        real = step.real
        if not real.any():
            return
        before, chosen = step.before.take(real), step.chosen[real]
        targets, goes_on = step.rewards.clip(-MOST, MOST), ~step.terminated
        targets[goes_on] += self.gamma * self._critic.values(step.after.take(goes_on))[:, 0]
        targets = targets[real]
        advantages = (targets - self._critic.values(before)[:, 0]) / len(targets)
        self._policy.learn(decided(before, chosen), advantages, self.entropy / len(targets))
        self._critic.learn(before, np.zeros_like(chosen), targets)

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that a run changes."""
        return {
            "settings": settings_of(self, self._decisions.arms),
            "decisions": self._decisions.state_dict(),
            "policy": self._policy.state_dict(),
            "critic": self._critic.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue, bit for bit, from what `state_dict` returned.

        Raises:
            ValueError: for the state of an agent with other spaces or settings.
        """
        check_arms_state(state, self, self._decisions.arms)
        self._decisions.load_state_dict(state["decisions"])
        self._policy.load_state_dict(state["policy"])
        self._critic.load_state_dict(state["critic"])
