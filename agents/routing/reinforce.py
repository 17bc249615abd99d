"""REINFORCE: networks choose the arms and learn from whole episodes' returns."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.agents.routing import routing_agent
from mtlgym.agents.routing.averages import Averages
from mtlgym.agents.routing.episodes import EpisodeReturns
from mtlgym.agents.routing.networks import MOST
from mtlgym.agents.routing.routing_agent import DecisionBatch, RoutingShell, TransitionBatch
from mtlgym.agents.routing.softmax_policy import SoftmaxPolicy, policy_entries
from mtlgym.lookup import lookup

BASELINES = {"mean": True, "none": False}
BASELINE_STEP = 0.01  # least weight of a new return in the baseline


@dataclass(eq=False)
class REINFORCE:
    """Make decisions likelier in proportion to the return that followed them.

    The policy pi is the softmax of a network of two layers, one for each agent and depth, which
    sees the observed value and the one-hot task, or the one-hot state. The episodes that end in a
    `learn` give one step of Adam up

        mean over episodes of sum_k (G_k - b) log pi(a_k | s_k),    G_k = r_k + gamma G_{k+1},

    with b = 0, or with `baseline="mean"` the average of the returns G of that agent and depth
    before: a plain average of the first 100, and from then on a new return has a weight of .01.
    Rewards after a truncation count as 0. Rewards are clipped to [-1e6, 1e6]. Arms that
    `info["action_mask"]` forbids have a probability of 0.

    In a vector whose rows end at different times, decisions made before another row's step are
    learnt from with the policy after it.

    Source: Williams (Machine Learning 8, 1992); as routing agents: Rosenbaum, Klinger, Riemer
    (ICLR 2018), https://arxiv.org/abs/1711.01239, Table 3, without and with a baseline.
    Differs from it, as far as is known, in the optimizer, Adam for each network on its own; the
    learning rate and the kind of the baseline are not published. The weight gamma^k of the k-th
    decision in the gradient of a discounted return is left out, as is usual.

    Attributes:
        observation_space: the environment's: `Dict(value, task, depth)`, `Discrete` or `Box`, or a
            vector of these. Vectors are reset by `AutoresetMode.NEXT_STEP` or `SAME_STEP`, not
            `DISABLED`.
        action_space: `Discrete(arms)`, or `MultiDiscrete([arms] * rows)`.
        seed: seed of its random generators; None takes fresh entropy.
        baseline: "none" or "mean".
        learning_rate: Adam's, at least 0.
        hidden: width of the networks' hidden layer.
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
    baseline: str = "none"
    learning_rate: float = 3e-3
    hidden: int = 64
    gamma: float = 1.0
    dispatch: str = "task"

    def __post_init__(self) -> None:
        """Check the settings and create the networks."""
        self._shell = RoutingShell(self)
        checks.real("learning_rate", self.learning_rate, 0.0)
        checks.integer("hidden", self.hidden, least=1)
        self._subtracts = lookup(BASELINES, self.baseline, "baseline")
        arms, reader, rng = self._shell.arms, self._shell.reader, self._shell.rng
        networks = self._shell.dispatch.agents, reader.depths
        sizes = reader.features, self.hidden, arms.count
        self._networks = SoftmaxPolicy(networks, sizes, self.learning_rate, rng)
        self._averages = Averages(networks[0] * networks[1], BASELINE_STEP)
        self._returns = EpisodeReturns(arms.rows, self.gamma)
        self._parts: dict[str, Any] = {
            "policy": self._networks,
            "averages": self._averages,
            "traces": self._returns,
        }

    distribution, act, greedy = routing_agent.distribution, routing_agent.act, routing_agent.greedy
    learn, state_dict = routing_agent.learn, routing_agent.state_dict
    load_state_dict = routing_agent.load_state_dict

    def _update(self, transitions: TransitionBatch) -> None:
        """Store the decisions; learn from those of the episodes that ended."""
        entries = policy_entries(transitions.before, transitions.chosen)
        self._returns.add(transitions.rewards.clip(-MOST, MOST), transitions.real, entries)
        done = self._returns.finish(transitions.ended)
        if done is None:
            return
        returns = done["return"]
        cells = done["agent"] * self._shell.reader.depths + done["depth"]
        expected = self._averages.of(cells) if self._subtracts else 0.0
        self._networks.learn(done, (returns - expected) / done["first"].sum())
        self._averages.add(cells, returns)

    def _policy(self, decisions: DecisionBatch) -> NDArray[np.float64]:
        return self._networks.distribution(decisions)

    _scores = _policy
