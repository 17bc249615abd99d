"""Agents: users of the plain Gymnasium API.

An agent is made from an environment's two spaces, decides with `act` and is told with `learn` what
came of it. Its module is imported when it is first used. `save` keeps one, `load` makes it again,
and `method` weighs the losses of a training loop of one's own with it.
"""

from collections.abc import Sequence
from importlib import import_module
from pkgutil import resolve_name
from typing import Any, Protocol, runtime_checkable

from gymnasium import spaces

from mtlgym.lookup import unknown

AGENTS = {
    "actor_critic": "mtlgym.agents.routing.actor_critic:ActorCritic",
    "balancing": "mtlgym.agents.weights.balancing_policy:BalancingPolicy",
    "counterfactual": "mtlgym.agents.off_policy.counterfactual:Counterfactual",
    "exp3": "mtlgym.agents.bandits.exp3:Exp3",
    "exp3s": "mtlgym.agents.bandits.exp3s:Exp3S",
    "igbv2": "mtlgym.agents.weights.igbv2:IGBv2",
    "oracle": "mtlgym.agents.bandits.fixed:Oracle",
    "q_learning": "mtlgym.agents.routing.q_learning:QLearning",
    "reinforce": "mtlgym.agents.routing.reinforce:REINFORCE",
    "resting": "mtlgym.agents.bandits.resting:Resting",
    "sliding_window_ucb": "mtlgym.agents.bandits.ucb:SlidingWindowUCB",
    "task_size": "mtlgym.agents.bandits.fixed:TaskSize",
    "thompson": "mtlgym.agents.bandits.thompson:ThompsonSampling",
    "ucb1": "mtlgym.agents.bandits.ucb:UCB1",
    "uniform": "mtlgym.agents.bandits.uniform:UniformRandom",
    "wpl": "mtlgym.agents.routing.wpl:WPL",
}
# What a training environment has to be like for an agent to act as published.
OPTIONS: dict[str, dict[str, Any]] = {
    "actor_critic": {},
    "balancing": {"actions": "weights", "transform": "log"},
    "counterfactual": {"reward": "improvement"},
    "exp3": {"reward": "prediction_gain"},
    "exp3s": {"reward": "prediction_gain"},
    "igbv2": {"actions": "weights", "transform": "log"},
    "oracle": {},
    "q_learning": {},
    "reinforce": {},
    "resting": {"reward": "prediction_gain"},
    "sliding_window_ucb": {"reward": "prediction_gain"},
    "task_size": {},
    "thompson": {"reward": "prediction_gain"},
    "ucb1": {"reward": "prediction_gain"},
    "uniform": {},
    "wpl": {},
}
_NOT_AGENTS = (
    "mtlgym.agents.saving.kept:load",
    "mtlgym.agents.saving.kept:save",
    "mtlgym.agents.off_policy.log:OffPolicyLog",
    "mtlgym.agents.sb3.policy:SB3Policy",
    "mtlgym.agents.sb3.vec_env:SB3VecEnv",
    "mtlgym.deploy:method",
)
_LAZY = {path.partition(":")[2]: path for path in (*AGENTS.values(), *_NOT_AGENTS)}


@runtime_checkable
class Agent(Protocol):
    """What every agent offers."""

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
        """Continue bit for bit from what `state_dict` returned."""


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
            is the environment's part, as `environment_options` says; IGBv2 then has the learning
            rate published for it. Settings follow a colon: "igbv2:buffer_size=5000".
        observation_space: the environment's.
        action_space: the environment's.
        seed: start of the agent's own streams of chance; None takes fresh entropy.
        tasks: names of the tasks, in order, for agents that learn from logs of decisions: logs of
            other tasks are then refused.

    Raises:
        ValueError: for an unknown name, or spaces that the agent cannot work with.
    """
    return _read(spec).make(observation_space, action_space, seed, tasks)


def environment_options(spec: str) -> dict[str, Any]:
    """What `gym.make` of a training environment needs for that agent to act as published.

    An agent that chooses tasks needs `interface="tasks"` beside it, which some environments have.

    Raises:
        ValueError: for an unknown name.
    """
    return _read(spec).options()


def _read(spec: str) -> Any:
    """The spec, read; its module needs torch, whose import takes seconds."""
    return import_module("mtlgym.agents.spec").read(spec)


def __getattr__(name: str) -> Any:
    """The class or function of that name, from its own module."""
    if name not in _LAZY:
        raise AttributeError(unknown(name, _LAZY, "agent class"))
    return resolve_name(_LAZY[name])


def __dir__() -> list[str]:
    """The module's own names and those that it loads on demand."""
    return sorted([*globals(), *_LAZY])
