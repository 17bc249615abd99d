"""Q-learning: values of arms, in a table or from networks, and an epsilon-greedy policy."""

from dataclasses import KW_ONLY, dataclass
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.agents.bandits.arms import check_share
from mtlgym.agents.routing import routing_agent
from mtlgym.agents.routing.averages import by_cell
from mtlgym.agents.routing.observations import Index
from mtlgym.agents.routing.routing_agent import DecisionBatch, RoutingShell, TransitionBatch
from mtlgym.lookup import lookup


class QTable:
    """Q(agent, depth, arm), 0 at first: each target moves its own entry.

    Q += learning_rate (target - Q). k targets that share an entry in one `learn` act as
    k times their mean, one after another: with a weight of 1 - (1 - learning_rate)^k.

    Attributes:
        table: (agents, depths, arms).
    """

    def __init__(self, agents: int, depths: int, arms: int, learning_rate: float) -> None:
        """Start with zeros.

        Args:
            agents: agents with values of their own.
            depths: depths with values of their own.
            arms: arms to choose from.
            learning_rate: in [0, 1].
        """
        self.table = np.zeros((agents, depths, arms))
        self._rate = learning_rate

    def values(self, decisions: DecisionBatch) -> NDArray[np.float64]:
        """The values of all arms, a fresh array (N, arms)."""
        return self.table[decisions.agent, decisions.seen.depth]

    def learn(self, decisions: DecisionBatch, chosen: Index, targets: NDArray[np.float64]) -> None:
        """Move the values of the chosen arms, (N,), towards their targets, (N,)."""
        places = decisions.agent, decisions.seen.depth, chosen
        cells = np.ravel_multi_index(places, self.table.shape)
        cells, mean, count = by_cell(cells, targets)
        flat, kept = self.table.reshape(-1), (1 - self._rate) ** count
        flat[cells] = kept * flat[cells] + (1 - kept) * mean

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that changes."""
        return {"table": self.table.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`."""
        self.table = state["table"].copy()


RATES = {"network": 1e-3, "table": 0.1}  # learning rates unless one is given


@runtime_checkable
class ValueFunction(Protocol):
    """A representation of the values."""

    def values(self, decisions: DecisionBatch) -> NDArray[np.float64]:
        """The values of all arms, a fresh array (N, arms); N may be 0."""

    def learn(self, decisions: DecisionBatch, chosen: Index, targets: NDArray[np.float64]) -> None:
        """Move the values of the chosen arms, (N,), towards their targets, (N,); N > 0."""

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that changes."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`."""


@dataclass(eq=False)
class QLearning:
    """Move Q of each decision towards its reward plus the best value that can follow.

    target = r + gamma max_b Q(s', b), over the arms that are allowed then, and r where the episode
    has terminated; truncation does not stop the bootstrap from the last observation. `act` takes an
    arm of the highest Q, with ties broken at random, and with probability `epsilon` a random arm.
    All targets of a `learn` are computed before a value changes.

    A table over (task, depth) does not know the choices at the depths before, so what follows
    has the same value whatever is chosen: a reward at the route's end teaches the last choice
    only, and the others learn from rewards in between. Networks see the value, which shows them.

    Source: Watkins, Dayan (Machine Learning 8, 1992); as routing agents: Rosenbaum, Klinger, Riemer
    (ICLR 2018), https://arxiv.org/abs/1711.01239, both representations.

    Attributes:
        observation_space: the environment's: `Dict(value, task, depth)`, `Discrete` or, for
            networks alone, `Box`, or a vector of these. Vectors are reset by
            `AutoresetMode.NEXT_STEP` or `SAME_STEP`, not `DISABLED`.
        action_space: `Discrete(arms)`, or `MultiDiscrete([arms] * rows)`.
        seed: seed of its random generators; None takes fresh entropy.
        representation: "table", over (agent, depth, arm), or "network", one for each (agent,
            depth), which also sees the value and the task.
        learning_rate: a table's weight of a target, in [0, 1], or a network's learning rate; None
            for .1 or 1e-3.
        epsilon: probability of a random choice, in [0, 1].
        gamma: discount, in [0, 1].
        hidden: width of the networks' hidden layer.
        dispatch: which agent decides: "task", one for each task; "single", one for all; "learned",
            the one that a dispatching agent draws at the start of each episode.

    Raises:
        ValueError: for other spaces, or a setting out of its range.
    """

    observation_space: spaces.Space
    action_space: spaces.Space
    _: KW_ONLY
    seed: int | None = None
    representation: str = "table"
    learning_rate: float | None = None
    epsilon: float = 0.1
    gamma: float = 1.0
    hidden: int = 64
    dispatch: str = "task"

    def __post_init__(self) -> None:
        """Check the settings and create the values."""
        self._shell = RoutingShell(self)
        check_share("epsilon", self.epsilon)
        checks.integer("hidden", self.hidden, least=1)
        self._values = self._value_function()
        self._parts: dict[str, Any] = {"values": self._values}

    distribution, act, greedy = routing_agent.distribution, routing_agent.act, routing_agent.greedy
    learn, state_dict = routing_agent.learn, routing_agent.state_dict
    load_state_dict = routing_agent.load_state_dict

    def _update(self, transitions: TransitionBatch) -> None:
        """Move the values of the chosen arms towards their targets."""
        real = transitions.real
        if not real.any():
            return
        targets, goes_on = transitions.rewards.copy(), ~transitions.terminated
        following = self._scores(transitions.after.take(goes_on))
        targets[goes_on] += self.gamma * following.max(axis=1)
        self._values.learn(transitions.before.take(real), transitions.chosen[real], targets[real])

    def _value_function(self) -> ValueFunction:
        default = lookup(RATES, self.representation, "representation")
        rate = default if self.learning_rate is None else self.learning_rate
        checks.real("learning_rate", rate, 0.0)
        agents, reader = self._shell.dispatch.agents, self._shell.reader
        arms = self._shell.arms.count
        if self.representation == "network":  # its module needs torch, whose import takes seconds
            make = import_module("mtlgym.agents.routing.q_network").QNetwork
            return make(agents, reader, arms, rate, self.hidden, self.seed)
        if not reader.finite:
            raise ValueError(
                '`representation="table"` needs the observation space Discrete or '
                f"Dict(value, task, depth); `observation_space` is {self.observation_space}"
            )
        check_share("learning_rate", rate)
        return QTable(agents, reader.depths, arms, rate)

    def _scores(self, decisions: DecisionBatch) -> NDArray[np.float64]:
        """The values, (N, arms); minus infinity for arms that are not allowed."""
        return np.where(decisions.allowed, self._values.values(decisions), -np.inf)

    def _policy(self, decisions: DecisionBatch) -> NDArray[np.float64]:
        values = self._scores(decisions)
        best = values == values.max(axis=1, keepdims=True)
        policy = (1 - self.epsilon) * best / best.sum(axis=1, keepdims=True)
        allowed = decisions.allowed
        return policy + self.epsilon * allowed / allowed.sum(axis=1, keepdims=True)
