"""The environment, the agent and the adapter of a cell."""

from typing import Any

from mtlgym import agents, checks
from mtlgym.agents.spec import read
from mtlgym.bench.runs import kept_policy
from mtlgym.bench.runs.adapters import ADAPTERS, RunAdapter
from mtlgym.bench.runs.cell import Cell
from mtlgym.bench.runs.options import for_agent
from mtlgym.presets.environments import Preset, preset

GYMNASIUMS = (  # arguments of its `make` and `make_vec`, which have no meaning in a run
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


def make(cell: Cell) -> tuple[Any, agents.Agent, RunAdapter]:
    """The cell's environment, its agent, and the adapter that a run logs and measures them with.

    Raises:
        ValueError: for an unknown id, agent or option, or options that the agent contradicts.
    """
    checks.integer("seed", cell.seed, least=0)
    make_env, adapter = ADAPTERS[cell.kind]
    options = dict(cell.options)
    for name in GYMNASIUMS:
        if name in options:
            raise ValueError(
                f"`{name}` is Gymnasium's, and no option of a run, not {options[name]!r}"
            )
    if cell.agent != kept_policy.SB3:
        options = for_agent(cell.agent, cell.options)
        _check_pair(cell.agent, preset(cell.env))
    env = make_env(cell, options)
    if cell.policy:
        agent: Any = kept_policy.load(cell.policy, env.observation_space, env.action_space)
    else:
        tasks = env.problem.tasks if hasattr(env, "problem") else env.tasks
        agent = agents.make(cell.agent, env.observation_space, env.action_space, cell.seed, tasks)
    return env, agent, adapter(cell, env, agent)


def _check_pair(agent: str, chosen: Preset) -> None:
    """Refuse an agent whose decisions are not of the environment's kind."""
    spec = read(agent)
    decides = agents.AGENTS[spec.agent].decides
    if chosen.kind == "routing" and (spec.gradient or "blocks" not in decides):
        raise ValueError(
            f"`agent` {agent!r} routes no samples, as {chosen.id} asks for: {_deciding('blocks')}"
        )
    if chosen.kind != "training" and not {"tasks", "blocks"} & set(decides):
        raise ValueError(
            f"`agent` {agent!r} weighs tasks, but {chosen.id} takes the choice of one: "
            f"{_deciding('tasks')}"
        )


def _deciding(kind: str) -> str:
    """The names of the agents that make that kind of decision."""
    return ", ".join(name for name, entry in agents.AGENTS.items() if kind in entry.decides)
