"""The page of an id whose environment is a `TrainingEnv`."""

from pkgutil import resolve_name
from typing import Any

import gymnasium as gym
from docs_markdown import arguments, clean, documented, first, table

from mtlgym.envs.training.env import TrainingEnv
from mtlgym.envs.training.observations import FEATURES
from mtlgym.envs.training.options import TrainingOptions
from mtlgym.envs.training.rewards import REWARDS
from mtlgym.presets.environments import Preset
from mtlgym.problems import PROBLEMS, builder_options
from mtlgym.training.hardware import Hardware
from mtlgym.training.options import Balance, Training

FIGURES = {"delta_m": "Δm [%]", "T": "T", "score": "score [%]"}


def sections(preset: Preset) -> dict[str, str]:
    """The sections by title, as on Gymnasium's own pages."""
    sourced = "data" in builder_options(preset.options["problem"])
    env = gym.make(preset.id, **({"data": "embedded"} if sourced else {}))
    training: TrainingEnv = env.unwrapped  # type: ignore[assignment]
    tasks = training.problem.tasks
    return {
        "": f"# {preset.id}\n\n{preset.title}.\n\n{_facts(env, training)}",
        "Description": clean(TrainingEnv.__doc__) + "\n\n" + _problem(preset),
        _titled("Tasks and metrics", preset, sourced): _metrics(training),
        "Action Space": f"`{env.action_space}`\n\n{clean(type(training.interface).__doc__)} "
        f"The tasks are, in this order, {', '.join(tasks)}.",
        "Observation Space": f"`{env.observation_space}`\n\n"
        "The features named by `observation`, one after another, each with one entry a task.\n\n"
        + table(
            ("feature", "what it is"), [(f"`{n}`", first(f.function)) for n, f in FEATURES.items()]
        ),
        "Rewards": f"The default is `{training.options.reward}`.\n\n"
        + table(("reward", "what it is"), [(f"`{n}`", first(r)) for n, r in REWARDS.items()])
        + "\n\nA user-defined reward is a function of the [records](../records.md) before and "
        "after the step. Rewards in units of L_base are 0, and `reward_ready` False, until the "
        "base epoch is over.",
        "Starting State": "A fresh model, optimizer and data order, all from the seed of `reset`.",
        "Episode End": "Truncated when the budget of optimizer steps is used up. Terminated when a "
        "loss is negative or not finite, or a gradient is not finite; `info['failure']` then names "
        "the task.",
        "Information": "`losses`, `weights` (arrays), `step`, `epoch`, `lr`, `data`, "
        "`reward_ready`, `failure`; with `same_batch=True` also `trained_losses` and "
        "`retrained_losses`, and where the action is a task, `task`, `improvement`, whatever the "
        "reward is, and at reset `task_sizes`, the training samples of each. `reward_ready` is "
        "whether the losses that the step's reward needs were known.",
        "Arguments": arguments(
            preset.options,
            (TrainingOptions, Training, Balance, Hardware),
            _builder(preset),
            ("balance", "hardware"),  # their own fields are options
        ),
        "Published figures": _published(preset, training),
        "Version History": "- v0: first release",
    }


def _titled(title: str, preset: Preset, sourced: bool) -> str:
    """The title, which names the embedded data if the environment also has real data."""
    return f"{title} of the embedded data" if sourced and "data" not in preset.options else title


def _facts(env: gym.Env, training: TrainingEnv) -> str:
    rows = [
        ("Import", f'`gymnasium.make("{training.spec.id}")` after `import mtlgym`'),  # type: ignore[union-attr]
        ("Action Space", f"`{env.action_space}`"),
        ("Observation", f"{env.observation_space.shape}, `float32`"),
        ("Tasks", str(len(training.problem.tasks))),
    ]
    return table(("", ""), rows)


def _metrics(training: TrainingEnv) -> str:
    rows = [
        (m.task, m.name, m.unit, "higher" if m.higher_is_better else "lower")
        for m in training.problem.metrics
    ]
    return table(("task", "metric", "unit", "better"), rows)


def _problem(preset: Preset) -> str:
    return clean(documented(_builder(preset)).__doc__.partition("Args:")[0])


def _builder(preset: Preset) -> Any:
    return resolve_name(PROBLEMS[preset.options["problem"]])


def _published(preset: Preset, training: TrainingEnv) -> str:
    if not preset.published:
        return ""
    columns = [c for c in FIGURES if any(c in f for f in preset.published.values())]
    rows = [
        (agent, *(_figure(column, figures) for column in columns))
        for agent, figures in preset.published.items()
    ]
    baseline = training.problem.baseline
    source = "On the real data"
    source += f"; Δm is against {baseline.source}.\n\n" if baseline else ".\n\n"
    return source + table(("method", *(FIGURES[column] for column in columns)), rows)


def _figure(column: str, figures: dict[str, float]) -> str:
    if column not in figures:
        return ""
    return f"{figures[column]:.2f}" if column == "T" else f"{figures[column]}"
