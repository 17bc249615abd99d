"""Q-learning: values of arms, in a table or from networks, and mostly the best arm."""

from dataclasses import KW_ONLY, dataclass
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.agents.bandits.arms import check_arms_state, check_share, settings_of
from mtlgym.agents.routing.averages import by_cell
from mtlgym.agents.routing.observations import Index
from mtlgym.agents.routing.routing_agent import Decisions, Situation
from mtlgym.lookup import lookup


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


RATES = {"network": 1e-3, "table": 0.1}  # learning rates unless one is given


@runtime_checkable
class Engine(Protocol):
    """What represents the values."""

    def values(self, situation: Situation) -> NDArray[np.float64]:
        """Of all arms, a fresh array (N, arms); N may be 0."""

    def learn(self, situation: Situation, chosen: Index, targets: NDArray[np.float64]) -> None:
        """Bring the values of the chosen arms, (N,), nearer to their targets, (N,); N > 0."""

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that changes."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""


@dataclass(eq=False)
class QLearning:
    """Bring Q of each decision nearer to its reward and the best that can follow.

    target = r + gamma max_b Q(s', b), over the arms that are allowed then, and r where the episode
    has terminated; truncation ends nothing, so the last observation still has a value. `act` takes
    an arm of the highest Q, of equal ones any, and with probability `epsilon` one at random. All
    of the targets of a `learn` are found before a value changes.

    A table over (task, depth) does not tell what was chosen at the depths before, so what follows
    is worth the same whatever is chosen: a reward at the route's end teaches the last choice alone,
    and the others learn from rewards in between. Networks see the value, and can tell.

    Source: Watkins, Dayan (Machine Learning 8, 1992); as routing agents: Rosenbaum, Klinger, Riemer
    (ICLR 2018), https://arxiv.org/abs/1711.01239, both representations.

    Attributes:
        observation_space: the environment's: `Dict(value, task, depth)`, `Discrete` or, for
            networks alone, `Box`, or a vector of these. Vectors are reset by
            `AutoresetMode.NEXT_STEP` or `SAME_STEP`, not `DISABLED`.
        action_space: `Discrete(arms)`, or `MultiDiscrete([arms] * rows)`.
        seed: start of its streams of chance; None takes fresh entropy.
        representation: "table", over (agent, depth, arm), or "network", one for each (agent,
            depth), which also sees the value and the task.
        learning_rate: a table's weight of a target, in [0, 1], or a network's learning rate; None
            for .1 or 1e-3.
        epsilon: share of the choices that are at random, in [0, 1].
        gamma: discount, in [0, 1].
        hidden: width of the networks' hidden layer.
        dispatch: who decides: "task", an agent a task; "single", one for all; "learned", one that
            a dispatching agent draws at the start of each episode.

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
        """Check the settings and make the values."""
        self._decisions = Decisions(
            self.observation_space,
            self.action_space,
            "QLearning",
            self.seed,
            self.dispatch,
            self.gamma,
        )
        check_share("epsilon", self.epsilon)
        checks.integer("hidden", self.hidden, least=1)
        self._engine = self._make_engine()

    def distribution(self, observation: Any, info: dict[str, Any]) -> NDArray[np.float64]:
        """What arms are drawn from, (N, arms); of a dispatcher's likeliest agent.

        Raises:
            ValueError: for an observation or a mask that does not fit.
        """
        return self._policy(self._decisions.look(observation, info))

    def act(self, observation: Any, info: dict[str, Any]) -> Any:
        """An arm of the highest value or, at times, any; an int, or one for each row, (rows,).

        Raises:
            ValueError: for an observation or a mask that does not fit; nothing has changed then.
        """
        policy = self._policy(self._decisions.consider(observation, info))
        return self._decisions.draw(policy)

    def greedy(self, observation: Any, info: dict[str, Any]) -> Any:
        """The first arm of the highest value, for evaluation: draws nothing and changes nothing.

        The observation may also be of a vector of any length N, whatever the agent's own is.

        Raises:
            ValueError: for an observation or a mask that does not fit.
        """
        values = self._allowed_values(self._decisions.look(observation, info))
        return self._decisions.answer(observation, values.argmax(axis=1))

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
        if not step.real.any():
            return
        targets, goes_on = step.rewards.copy(), ~step.terminated
        following = self._allowed_values(step.after.take(goes_on))
        targets[goes_on] += self.gamma * following.max(axis=1)
        real = step.real
        self._engine.learn(step.before.take(real), step.chosen[real], targets[real])

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that a run changes."""
        return {
            "settings": settings_of(self, self._decisions.arms),
            "decisions": self._decisions.state_dict(),
            "values": self._engine.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue, bit for bit, from what `state_dict` returned.

        Raises:
            ValueError: for the state of an agent with other spaces or settings.
        """
        check_arms_state(state, self, self._decisions.arms)
        self._decisions.load_state_dict(state["decisions"])
        self._engine.load_state_dict(state["values"])

    def _make_engine(self) -> Engine:
        default = lookup(RATES, self.representation, "representation")
        rate = default if self.learning_rate is None else self.learning_rate
        checks.real("learning_rate", rate, 0.0)
        agents, states = self._decisions.dispatch.agents, self._decisions.states
        arms = self._decisions.arms.count
        if self.representation == "network":  # its module needs torch, whose import takes seconds
            make = import_module("mtlgym.agents.routing.q_network").QNetwork
            return make(agents, states, arms, rate, self.hidden, self.seed)
        if not states.finite:
            raise ValueError(
                '`representation="table"` needs the observation space Discrete or '
                f"Dict(value, task, depth); `observation_space` is {self.observation_space}"
            )
        check_share("learning_rate", rate)
        return QTable(agents, states.depths, arms, rate)

    def _allowed_values(self, situation: Situation) -> NDArray[np.float64]:
        """Of all arms, (N, arms); those that are not allowed have minus infinity."""
        return np.where(situation.allowed, self._engine.values(situation), -np.inf)

    def _policy(self, situation: Situation) -> NDArray[np.float64]:
        values = self._allowed_values(situation)
        best = values == values.max(axis=1, keepdims=True)
        policy = (1 - self.epsilon) * best / best.sum(axis=1, keepdims=True)
        allowed = situation.allowed
        return policy + self.epsilon * allowed / allowed.sum(axis=1, keepdims=True)
