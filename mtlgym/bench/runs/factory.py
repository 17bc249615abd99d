"""From a cell to its environment and its agent."""

from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode

from mtlgym import agents, checks
from mtlgym.bench.runs import kept_policy
from mtlgym.bench.runs.cell import Cell
from mtlgym.bench.runs.options import for_agent
from mtlgym.envs.routing.trainer_options import TrainerOptions
from mtlgym.presets.environments import Preset, preset

GYMNASIUMS = (  # arguments of its `make` and `make_vec`, which would mean nothing in a run
    "autoreset_mode",
    "disable_env_checker",
    "id",
    "max_episode_steps",
    "num_envs",
    "render_mode",
    "vector_kwargs",
    "vectorization_mode",
    "wrappers",
)
ROUTERS = ("actor_critic", "q_learning", "reinforce", "uniform", "wpl")


def make(cell: Cell) -> tuple[Any, agents.Agent]:
    """The cell's environment and agent.

    Raises:
        ValueError: for an unknown id, agent or option, or options that the agent contradicts.
    """
    checks.integer("seed", cell.seed, least=0)
    chosen = preset(cell.env)
    options = dict(cell.options)
    for name in GYMNASIUMS:
        if name in options:
            raise ValueError(
                f"`{name}` is Gymnasium's, and no option of a run, not {options[name]!r}"
            )
    if cell.agent != kept_policy.SB3:
        options = for_agent(cell.agent, cell.options)
        _check_pair(cell.agent, chosen)
    env: Any = _routing(chosen, options) if chosen.routes else gym.make(cell.env, **options)
    env = env.unwrapped
    if cell.policy:
        return env, kept_policy.load(cell.policy, env.observation_space, env.action_space)
    tasks = env.problem.tasks if hasattr(env, "problem") else env.tasks
    agent = agents.make(cell.agent, env.observation_space, env.action_space, cell.seed, tasks)
    return env, agent


def _check_pair(agent: str, chosen: Preset) -> None:
    """Refuse an agent whose decisions are not of the environment's kind."""
    weighs = "actions" in agents.environment_options(agent)
    if chosen.routes and (weighs or agent.partition(":")[0] not in ROUTERS):
        raise ValueError(
            f"`agent` {agent!r} routes no samples, as {chosen.id} asks for: {', '.join(ROUTERS)}"
        )
    if weighs and not chosen.weighs:
        known = ", ".join(name for name, needs in agents.OPTIONS.items() if "actions" not in needs)
        raise ValueError(
            f"`agent` {agent!r} weighs tasks, but {chosen.id} takes the choice of one: {known}"
        )


def _routing(chosen: Preset, options: dict[str, Any]) -> Any:
    """The vector form, which is trained on minibatches in the same steps."""
    size = {**chosen.options, **options}.get("batch_size", TrainerOptions.batch_size)
    checks.integer("batch_size", size, least=1)
    return gym.make_vec(chosen.id, size, autoreset_mode=AutoresetMode.SAME_STEP, **options)
