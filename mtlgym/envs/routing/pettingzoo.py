"""Routing with one agent a task, as an environment of PettingZoo's parallel API.

`parallel` makes it from an environment's id, `RoutingParallelEnv` from a problem. Each episode
routes one sample of every task, and trains the network on these samples:

    env = parallel("MTL-Emoji-Routing-v0")
    observations, infos = env.reset(seed=0)
    while env.vector.is_open:
        while env.agents:
            actions = {agent: env.action_space(agent).sample() for agent in env.agents}
            observations, rewards, terminations, truncations, infos = env.step(actions)
        observations, infos = env.reset()
    print(env.vector.evaluate("val"))

A minibatch has only as many samples as there are tasks; a learning rate that was chosen for larger
minibatches may be too high.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from mtlgym.envs.routing.options import KNOWN, configure
from mtlgym.envs.routing.vector import RoutingVectorEnv
from mtlgym.lookup import lookup
from mtlgym.presets.environments import presets
from mtlgym.problems.images import ImageProblem

try:
    from pettingzoo import ParallelEnv
except ImportError as error:
    text = "the parallel form of routing needs PettingZoo: pip install mtlgym[pettingzoo]"
    raise ImportError(text) from error

Observation = dict[str, Any]
Infos = dict[str, dict[str, Any]]
Step = tuple[dict[str, Observation], dict[str, float], dict[str, bool], dict[str, bool], Infos]


class RoutingParallelEnv(ParallelEnv[str, Observation, Any]):
    """Each task's agent routes a sample of its task; all agents act at once.

    The observations, actions, rewards and infos of an agent are those of `RoutingEnv`. After the
    last depth all agents have terminated and the blocks on their routes are trained, by one
    gradient step on the mean loss. The network lives as long as the environment: only
    `reset(seed=...)` starts a fresh one; `reset()` starts the next minibatch, or the routes of an
    unfinished one again.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), https://arxiv.org/abs/1711.01239, Algorithm 2.
    Differs from it in that every minibatch has one sample of each task.

    Attributes:
        vector: the vector environment that does the work, whose row t is of task t. Its `is_open`,
            `evaluate` and `save` may be used; call `reset` here after its `load`.
        possible_agents: the tasks' names.
        agents: the agents that have a decision to make: all or none.
    """

    metadata = {"name": "mtlgym_routing_v0", "render_modes": []}  # noqa: RUF012

    def __init__(
        self, problem: str | ImageProblem, *, render_mode: str | None = None, **options: Any
    ) -> None:
        """Make the environment; `reset` builds the network.

        Args:
            problem: a key of `IMAGE_PROBLEMS`, or an `ImageProblem`.
            render_mode: None; `RoutingEnv` draws pictures.
            **options: as for `RoutingEnv`; `batch_size` is the number of tasks, and `balanced`
                is True.

        Raises:
            ValueError: for an unknown option or a value that is not allowed; names what is allowed.
        """
        if render_mode is not None:
            raise ValueError(
                f"`render_mode` must be None for the parallel form, not {render_mode!r}"
            )
        if options.get("balanced", True) is not True:
            raise ValueError(
                f"`balanced` must be True for the parallel form, not {options['balanced']!r}"
            )
        # The number of rows is the number of tasks, known once the problem is built.
        built = configure(problem, {**options, "batch_size": 1, "balanced": False}).problem
        known = {key: value for key, value in options.items() if key in KNOWN}
        self.vector = RoutingVectorEnv(
            built,
            len(built.tasks),
            autoreset_mode=AutoresetMode.DISABLED,
            **{**known, "balanced": True},
        )
        self.render_mode = None
        self.possible_agents = list(built.tasks)
        self.agents: list[str] = []
        actions, seen = self.vector.router.shape.actions, self.vector.single_observation_space
        self.action_spaces = {agent: spaces.Discrete(actions) for agent in built.tasks}
        self.observation_spaces = dict.fromkeys(built.tasks, seen)

    def action_space(self, agent: str) -> spaces.Discrete:
        """The space of the agent's actions, the blocks.

        Raises:
            ValueError: for an unknown agent; names the known ones.
        """
        return lookup(self.action_spaces, agent, "agent")

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """The space of the agent's observations.

        Raises:
            ValueError: for an unknown agent; names the known ones.
        """
        return lookup(self.observation_spaces, agent, "agent")

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Observation], Infos]:
        """Start the next minibatch; with a seed, of a fresh network. `options` has no effect."""
        observation, info = self.vector.reset(seed=seed)
        self.agents = self.possible_agents.copy()
        return self._by_agent(observation), self._infos(info)

    def step(self, actions: Mapping[str, Any]) -> Step:
        """Send each agent's sample through the block that its action names.

        Raises:
            ValueError: for actions of other agents, or that are not allowed; nothing has changed
                then.
            gymnasium.error.ResetNeeded: before `reset`, and after the last depth.
        """
        if not self.agents:
            raise ResetNeeded("no agent has a decision to make: call reset() before step()")
        observation, rewards, ended, _, info = self.vector.step(self._checked(actions))
        agents = self.possible_agents
        if ended.all():
            self.agents = []
        return (
            self._by_agent(observation),
            dict(zip(agents, rewards.tolist(), strict=True)),
            dict(zip(agents, ended.tolist(), strict=True)),
            dict.fromkeys(agents, False),
            self._infos(info),
        )

    def _checked(self, actions: Mapping[str, Any]) -> NDArray[np.int64]:
        if set(actions) != set(self.agents):
            raise ValueError(f"`actions` must be one of each of {self.agents}, not {actions!r}")
        for agent, action in actions.items():
            space = self.action_spaces[agent]
            if isinstance(action, bool) or action not in space:
                raise ValueError(
                    f"`actions[{agent!r}]` must be an integer in [0, {space.n}), not {action!r}"
                )
        return np.array([int(actions[agent]) for agent in self.agents])

    def _by_agent(self, observation: Mapping[str, NDArray[Any]]) -> dict[str, Observation]:
        return {
            agent: {key: each[row].copy() for key, each in observation.items()}
            for row, agent in enumerate(self.possible_agents)
        }

    def _infos(self, info: Mapping[str, Any]) -> Infos:
        values = {key: value for key, value in info.items() if not key.startswith("_")}
        return {
            agent: {key: _of(row, value) for key, value in values.items()}
            for row, agent in enumerate(self.possible_agents)
        }


def _of(row: int, value: Any) -> Any:
    """The row's part of an entry of a vector environment's info."""
    if not isinstance(value, np.ndarray):
        return value
    return value[row].copy() if value.ndim > 1 else value[row].item()


def parallel(id: str, **options: Any) -> RoutingParallelEnv:
    """Make the parallel form of a registered environment, as `gymnasium.make` does the single one.

    Args:
        id: one whose samples are routed, such as `MTL-Emoji-Routing-v0`.
        **options: as for `RoutingParallelEnv`, in place of those of the id.

    Raises:
        ValueError: for an unknown id, an unknown option or a value that is not allowed.
    """
    routed = {name: preset for name, preset in presets().items() if preset.kind == "routing"}
    chosen = lookup(routed, id, "id of a routing environment")
    return RoutingParallelEnv(**{**chosen.options, **options})
