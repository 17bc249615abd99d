"""Agents: users of the plain Gymnasium API.

An agent is made from an environment's two spaces. `act` gives its decision for an observation, and
`learn` takes in the step that followed. `save` writes an agent into a folder, `load` reads it, and
`method` weighs the losses of any training loop with it. The module of an agent is imported when the
agent is first used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import resolve_name
from typing import Any, Protocol, runtime_checkable

from gymnasium import spaces

from mtlgym.lookup import unknown


@dataclass(frozen=True)
class AgentEntry:
    """An agent in the table `AGENTS`.

    Attributes:
        path: its class, as "module:class".
        decides: the kinds of decision that it can make: "weights" of all tasks, the choice of one
            of the "tasks", and "blocks" of a routed network.
        options: the options that a training environment must be made with for the agent to act as
            published.
        combined: settings of the agent that change when a gradient method works under its weights,
            by the gradient method.
    """

    path: str
    decides: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    combined: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


AGENTS: dict[str, AgentEntry] = {
    "actor_critic": AgentEntry(
        "mtlgym.agents.routing.actor_critic:ActorCritic", ("tasks", "blocks")
    ),
    "balancing": AgentEntry(
        "mtlgym.agents.weights.balancing_policy:BalancingPolicy",
        ("weights",),
        {"actions": "weights", "transform": "log"},
    ),
    "counterfactual": AgentEntry(
        "mtlgym.agents.off_policy.counterfactual:Counterfactual",
        ("tasks",),
        {"reward": "improvement"},
    ),
    "exp3": AgentEntry(
        "mtlgym.agents.bandits.exp3:Exp3", ("tasks",), {"reward": "prediction_gain"}
    ),
    "exp3s": AgentEntry(
        "mtlgym.agents.bandits.exp3s:Exp3S", ("tasks",), {"reward": "prediction_gain"}
    ),
    "igbv2": AgentEntry(
        "mtlgym.agents.weights.igbv2:IGBv2",
        ("weights",),
        {"actions": "weights", "transform": "log"},
        # Dai et al. (UAI 2023), section 4.1, "Implementation Details".
        {name: {"learning_rate": 1e-4} for name in ("mgda", "nash", "pcgrad")},
    ),
    "oracle": AgentEntry("mtlgym.agents.bandits.fixed:Oracle", ("tasks",)),
    "q_learning": AgentEntry("mtlgym.agents.routing.q_learning:QLearning", ("tasks", "blocks")),
    "reinforce": AgentEntry("mtlgym.agents.routing.reinforce:REINFORCE", ("tasks", "blocks")),
    "resting": AgentEntry(
        "mtlgym.agents.bandits.resting:Resting", ("tasks",), {"reward": "prediction_gain"}
    ),
    "sliding_window_ucb": AgentEntry(
        "mtlgym.agents.bandits.ucb:SlidingWindowUCB", ("tasks",), {"reward": "prediction_gain"}
    ),
    "task_size": AgentEntry("mtlgym.agents.bandits.fixed:TaskSize", ("tasks",)),
    "thompson": AgentEntry(
        "mtlgym.agents.bandits.thompson:ThompsonSampling",
        ("tasks",),
        {"reward": "prediction_gain"},
    ),
    "ucb1": AgentEntry("mtlgym.agents.bandits.ucb:UCB1", ("tasks",), {"reward": "prediction_gain"}),
    "uniform": AgentEntry(
        "mtlgym.agents.bandits.uniform:UniformRandom", ("weights", "tasks", "blocks")
    ),
    "wpl": AgentEntry("mtlgym.agents.routing.wpl:WPL", ("tasks", "blocks")),
}
_OTHERS = (
    "mtlgym.agents.saving.kept:load",
    "mtlgym.agents.saving.kept:save",
    "mtlgym.agents.off_policy.log:OffPolicyLog",
    "mtlgym.agents.sb3.policy:SB3Policy",
    "mtlgym.agents.sb3.vec_env:SB3VecEnv",
    "mtlgym.deploy:method",
)
_PATHS = (*(entry.path for entry in AGENTS.values()), *_OTHERS)
_LAZY = {path.partition(":")[2]: path for path in _PATHS}  # class or function name -> path
__all__ = ["AGENTS", "Agent", "AgentEntry", "environment_options", "make"]
__all__ += _LAZY


@runtime_checkable
class Agent(Protocol):
    """The interface of every agent."""

    def act(self, observation: Any, info: dict[str, Any]) -> Any:
        """The decision for this observation and the info that came with it."""

    def learn(
        self,
        observation: Any,
        action: Any,
        reward: float,
        next_observation: Any,
        terminated: bool,
        truncated: bool,
        info: dict[str, Any],
    ) -> None:
        """Take in one step of the environment; `info` is the one that the step returned."""

    def state_dict(self) -> dict[str, Any]:
        """All that a run changes, as nested dictionaries and lists of arrays and plain values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`; the run then continues bit-identically."""


def make(
    spec: str,
    observation_space: spaces.Space,
    action_space: spaces.Space,
    seed: int | None = None,
    tasks: Sequence[str] | None = None,
) -> Agent:
    """An agent by name, with its default settings or those that the name carries.

    Args:
        spec: a name in `AGENTS`, or a balancing method as `mtlgym.balancing` spells it: "igbv1",
            "dwa:temperature=1.5", "dwa+si", "nash". A gradient method behind a plus, "igbv2+nash",
            is the environment's part (see `environment_options`); IGBv2 then has the learning rate
            published for it. Settings follow a colon: "igbv2:buffer_size=5000".
        observation_space: the environment's.
        action_space: the environment's.
        seed: seed of the agent's own random generators; None takes fresh entropy.
        tasks: names of the tasks, in order, for agents that learn from logs of decisions: logs of
            other tasks are then refused.

    Raises:
        ValueError: for an unknown name, or spaces that the agent cannot work with.
    """
    return _read(spec).make(observation_space, action_space, seed, tasks)


def environment_options(spec: str) -> dict[str, Any]:
    """The options that `gym.make` of a training environment needs for that agent.

    With them the agent acts as published. An agent that chooses tasks needs `interface="tasks"`
    beside them, which some environments have.

    Raises:
        ValueError: for an unknown name.
    """
    return _read(spec).options()


def _read(spec: str) -> Any:
    """The parsed spec; the module that parses it needs torch, whose import takes seconds."""
    return import_module("mtlgym.agents.spec").read(spec)


def __getattr__(name: str) -> Any:
    """Import a class or function from its own module when it is first used."""
    if name not in _LAZY:
        raise AttributeError(unknown(name, _LAZY, "agent class"))
    return resolve_name(_LAZY[name])


def __dir__() -> list[str]:
    """The module's own names and those that are imported on first use."""
    return sorted([*globals(), *_LAZY])
