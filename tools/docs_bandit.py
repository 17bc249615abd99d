"""The page of an id whose environment is a `BanditEnv`."""

import dataclasses

import gymnasium as gym
from docs_markdown import clean, described, table

from mtlgym.envs.bandit import BanditEnv, BanditVectorEnv
from mtlgym.envs.bandit.arms import BanditOptions
from mtlgym.presets.environments import Preset


def sections(preset: Preset) -> dict[str, str]:
    """The sections by title, as on Gymnasium's own pages."""
    env = gym.make(preset.id)
    vector = clean(BanditVectorEnv.__doc__).partition("Source:")[0].strip()
    return {
        "": f"# {preset.id}\n\n{preset.title}.\n\n{_facts(preset, env)}",
        "Description": clean(BanditEnv.__doc__),
        "Vector form": f'`gymnasium.make_vec("{preset.id}", num_envs=1024)`\n\n{vector}',
        "Action Space": f"`{env.action_space}`\n\nThe arm to pull.",
        "Observation Space": f"`{env.observation_space}`\n\n"
        "What is known when one task is trained at a time: each arm's score after its last "
        "pull, 0 before the first; the share of the budget since each arm's last pull, or since "
        "the start; and the share of the budget that is used.",
        "Rewards": table(
            ("reward", "what it is"),
            [
                (
                    "`prediction_gain` (default)",
                    "the pulled arm's score after the step minus that before it",
                ),
                ("`improvement`", "1 minus the pulled arm's score, if it rose in the step, else 0"),
            ],
        )
        + "\n\nSource: Glover and Hokamp (2019), section 3.2 and, with the score as P, eq. 16.",
        "Starting State": "All scores are 0. A seed draws a new bandit; without one it is kept, or "
        "in the first `reset` drawn from fresh entropy.",
        "Episode End": "Truncated after `steps` pulls, never terminated.",
        "Information": "`score` (array), `mean_score`, `prediction_gain`, `improvement`, `step`; "
        "at reset also `oracle` (array).",
        "Arguments": _arguments(preset),
        "Version History": "- v0: first release",
    }


def _facts(preset: Preset, env: gym.Env) -> str:
    rows = [
        ("Import", f'`gymnasium.make("{preset.id}")` after `import mtlgym`'),
        ("Action Space", f"`{env.action_space}`"),
        ("Observation", f"{env.observation_space.shape}, `float32`"),
        ("Arms", str(len(env.unwrapped.tasks))),  # type: ignore[attr-defined]
    ]
    return table(("", ""), rows)


def _arguments(preset: Preset) -> str:
    texts = described(BanditOptions, "Attributes")
    rows = [
        (
            f"`{field.name}`",
            f"`{preset.options.get(field.name, field.default)!r}`",
            texts[field.name],
        )
        for field in dataclasses.fields(BanditOptions)
    ]
    return table(("argument", "default here", "what it is"), rows)
