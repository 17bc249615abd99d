"""Single-task models: what multi-task training is compared with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from mtlgym.bench.bench import run_cells
from mtlgym.bench.cell import Cell
from mtlgym.envs.training import TrainingEnv


def single_task(
    env: str,
    seeds: Sequence[int],
    out: Path,
    options: Mapping[str, Any],
    checkpoint_every: int = 500,
    jobs: int = 1,
) -> dict[str, float]:
    """Train each task of the environment alone; its metrics on the test split, means over seeds.

    Each model is chosen by its own task's validation metric. Finished trainings are not run again.
    """
    made = gym.make(env, **options)
    training: TrainingEnv = made.unwrapped  # type: ignore[assignment]
    places = [
        (
            Cell(env, "equal", seed, {**options, "tasks": [task], "baseline": None}),
            out / env / "stl" / task / f"seed-{seed}",
        )
        for seed in seeds
        for task in training.problem.tasks
    ]
    values: dict[str, list[float]] = {}
    for result in run_cells(places, checkpoint_every, jobs):
        for key, value in result["test"].items():
            values.setdefault(key, []).append(value)
    return {key: float(np.mean(figures)) for key, figures in values.items()}


def to_toml(values: Mapping[str, float], source: str) -> str:
    """The values as a preset's baseline."""
    lines = [f'"{key}" = {value:.6g}' for key, value in values.items()]
    return "\n".join(
        ["[options.baseline]", f'source = "{source}"', "", "[options.baseline.values]", *lines, ""]
    )
