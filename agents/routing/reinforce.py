"""REINFORCE: networks choose the arms and learn from whole episodes' returns."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.agents.bandits.arms import check_arms_state, settings_of
from mtlgym.agents.routing.averages import Averages
from mtlgym.agents.routing.episodes import Entries, Traces
from mtlgym.agents.routing.networks import MOST
from mtlgym.agents.routing.routing_agent import Decisions
from mtlgym.agents.routing.softmax_policy import SoftmaxPolicy, decided
from mtlgym.lookup import lookup

BASELINES = {"mean": True, "none": False}
FORGETS = 0.01  # least weight of a new return in the baseline


@dataclass(eq=False)
class REINFORCE:
    """Make decisions likelier by what their episodes returned after them.

    The policy pi is the softmax of a network of two layers, one for each agent and depth, which
    sees the observed value and the one-hot task, or the one-hot state. The episodes that end in a
    `learn` make one step of Adam up

        mean over episodes of sum_k (G_k - b) log pi(a_k | s_k),    G_k = r_k + gamma G_{k+1},

    with b = 0, or with `baseline="mean"` the average of the returns G of that agent and depth
    before: a plain average of the first 100, and from then on a new return has a weight of .01.
    A truncated episode's returns are cut. Rewards past 1e6 in size count as 1e6. Arms that
    `info["action_mask"]` forbids have a probability of 0.

    In a vector whose rows end at different times, decisions made before another row's step are
    learnt from with the policy after it.

    Source: Williams (Machine Learning 8, 1992); as routing agents: Rosenbaum, Klinger, Riemer
    (ICLR 2018), https://arxiv.org/abs/1711.01239, Table 3, without and with a baseline.
    Differs from it, as far as is known, in the optimizer, Adam for each network on its own; the
    learning rate and the kind of the baseline were not at hand. The weight gamma^k of the k-th
    decision in the gradient of a discounted return is left out, as is usual.

    Attributes:
        observation_space: the environment's: `Dict(value, task, depth)`, `Discrete` or `Box`, or a
            vector of these. Vectors are reset by `AutoresetMode.NEXT_STEP` or `SAME_STEP`, not
            `DISABLED`.
        action_space: `Discrete(arms)`, or `MultiDiscrete([arms] * rows)`.
        seed: start of its streams of chance; None takes fresh entropy.
        baseline: "none" or "mean".
        learning_rate: Adam's, at least 0.
        hidden: width of the networks' hidden layer.
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
    baseline: str = "none"
    learning_rate: float = 3e-3
    hidden: int = 64
    gamma: float = 1.0
    dispatch: str = "task"

    def __post_init__(self) -> None:
        """Check the settings and make the networks."""
        self._decisions = Decisions(
            self.observation_space,
            self.action_space,
            "REINFORCE",
            self.seed,
            self.dispatch,
            self.gamma,
        )
        checks.real("learning_rate", self.learning_rate, 0.0)
        checks.integer("hidden", self.hidden, least=1)
        self._subtracts = lookup(BASELINES, self.baseline, "baseline")
        arms, states = self._decisions.arms, self._decisions.states
        networks = self._decisions.dispatch.agents, states.depths
        sizes = states.features, self.hidden, arms.count
        self._policy = SoftmaxPolicy(networks, sizes, self.learning_rate, self._decisions.rng)
        self._averages = Averages(networks[0] * networks[1], FORGETS)
        self._traces = Traces(arms.rows, self.gamma)

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
        """Take in one step; the episodes that it ends change the networks.

        Raises:
            ValueError: for what does not fit the spaces, or a reward that is not finite; nothing
                has changed then.
        """
        step = self._decisions.step(
            observation, action, reward, next_observation, terminated, truncated, info
        )
        rewards = step.rewards.clip(-MOST, MOST)
        self._traces.add(rewards, step.real, decided(step.before, step.chosen))
        done = self._traces.finish(step.ended)
        if done is not None:
            self._climb(done)

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that a run changes."""
        return {
            "settings": settings_of(self, self._decisions.arms),
            "decisions": self._decisions.state_dict(),
            "policy": self._policy.state_dict(),
            "averages": self._averages.state_dict(),
            "traces": self._traces.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue, bit for bit, from what `state_dict` returned.

        Raises:
            ValueError: for the state of an agent with other spaces or settings.
        """
        check_arms_state(state, self, self._decisions.arms)
        self._decisions.load_state_dict(state["decisions"])
        self._policy.load_state_dict(state["policy"])
        self._averages.load_state_dict(state["averages"])
        self._traces.load_state_dict(state["traces"])

    def _climb(self, done: Entries) -> None:
        """Learn from the decisions of ended episodes."""
        returns, cells = done["return"], done["agent"] * self._decisions.states.depths
        cells = cells + done["depth"]
        expected = self._averages.of(cells) if self._subtracts else 0.0
        self._policy.learn(done, (returns - expected) / done["first"].sum())
        self._averages.take(cells, returns)
