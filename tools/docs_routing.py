"""The page of an id whose environment is a `RoutingEnv`."""

from pkgutil import resolve_name
from typing import Any

import gymnasium as gym
from docs_markdown import arguments, clean, first, table

from mtlgym.envs.routing import RoutingEnv, RoutingVectorEnv
from mtlgym.envs.routing.options import PARTS, UNUSED
from mtlgym.models.architectures import ARCHITECTURES
from mtlgym.presets.environments import Preset
from mtlgym.problems import IMAGE_PROBLEMS

AGENTS = {
    "task": "an agent a task",
    "learned": "agents chosen by a dispatching one (`wpl:dispatch=learned`)",
    "single": "one agent (`reinforce:dispatch=single`)",
    None: "any: there is one action",
}


def sections(preset: Preset) -> dict[str, str]:
    """The sections by title, as on Gymnasium's own pages."""
    env = gym.make(preset.id, data="embedded")
    routing: RoutingEnv = env.unwrapped  # type: ignore[assignment]
    titled = "Tasks" if "data" in preset.options else "Tasks of the embedded data"
    return {
        "": f"# {preset.id}\n\n{preset.title}.\n\n{_facts(env, routing)}",
        "Description": f"{clean(RoutingEnv.__doc__)}\n\n{_problem(preset)}",
        "Vector form": f'`gymnasium.make_vec("{preset.id}", num_envs=64)`\n\n'
        + clean(RoutingVectorEnv.__doc__).partition("Source:")[0].strip(),
        titled: _tasks(routing),
        "Architectures": table(
            ("`architecture`", "what it is", "agents"),
            [(f"`{name}`", _head(name), AGENTS[a.dispatch]) for name, a in ARCHITECTURES.items()],
        ),
        "Action Space": f"`{env.action_space}`\n\nThe block of the layer at this depth. Where not "
        "every action is possible at every depth (`pass_action`, `recursive`), "
        '`info["action_mask"]` has the allowed ones.',
        "Observation Space": f"`{env.observation_space}`\n\nThe representation, padded with "
        "zeros, the sample's task, and the number of decisions so far.",
        "Rewards": "At a route's end `correct` (default): 1 if the class is right, else -1; or "
        "`negative_loss`: minus the loss, in nats, at most 1,000. With `rho`, each action is also "
        "paid rho times its share in the last decisions of its task at that depth (or of all "
        'tasks, `history="shared"`).',
        "Starting State": "A sample's features, at depth 0. The network keeps its training; a "
        "seed starts a fresh one.",
        "Episode End": "Terminated after the last depth. A loss or gradient that is not finite "
        "leaves the network as it was before that minibatch; `info['failure']` then names the "
        "tasks.",
        "Information": "`step`, `updates` (minibatches trained on), `epoch`, `lr`, `data`, "
        "`failure`; at a route's end `task`, `loss` and `correct`.",
        "Arguments": arguments(preset.options, PARTS, _builder(preset), UNUSED),
        "Version History": "- v0: first release",
    }


def _facts(env: gym.Env, routing: RoutingEnv) -> str:
    sizes = ", ".join(f"{routing.problem.size(s):,} {s}" for s in ("train", "val", "test"))
    rows = [
        ("Import", f'`gymnasium.make("{routing.spec.id}")` after `import mtlgym`'),  # type: ignore[union-attr]
        ("Action Space", f"`{env.action_space}`"),
        ("Tasks", str(len(routing.problem.tasks))),
        ("Samples (embedded data)", sizes),
    ]
    return table(("", ""), rows)


def _tasks(routing: RoutingEnv) -> str:
    data = routing.problem.data
    rows = [(f"`{t}`", ", ".join(c)) for t, c in zip(data.tasks, data.classes, strict=True)]
    return table(("task", "classes"), rows)


def _head(name: str) -> str:
    """A line that describes the architecture, from its class's docstring if there is one."""
    if name == "shared":
        return "One network for all tasks, which does not see the task."
    if name.startswith("task-specific"):
        own = "last layer" if name == "task-specific-1-fc" else "fully connected layers"
        return f"Each task has its own {own}."
    if name == "routing-all-fc-recursive":
        return "Hidden layers choose from all hidden blocks, or pass."
    modules = {
        "soft-mixture-fc": "soft_mixture:SoftMixture",
        "cross-stitch-all-fc": "cross_stitch:CrossStitch",
    }
    return first(resolve_name(f"mtlgym.models.{modules.get(name, 'routed:Routed')}"))


def _problem(preset: Preset) -> str:
    return clean(_builder(preset).__doc__.partition("Args:")[0])


def _builder(preset: Preset) -> Any:
    return resolve_name(IMAGE_PROBLEMS[preset.options["problem"]])
