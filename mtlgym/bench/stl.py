"""Single-task models: what multi-task training is compared with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from mtlgym.bench.bench import with_progress
from mtlgym.bench.cell import Cell
from mtlgym.envs.training import TrainingEnv


def single_task(
    env: str, seeds: Sequence[int], out: Path, options: Mapping[str, Any], checkpoint_every: int
) -> dict[str, float]:
    """Train each task of the environment alone; its metrics on the test split, means over seeds.

    Finished trainings are not run again.
    """
    made = gym.make(env, **options)
    training: TrainingEnv = made.unwrapped  # type: ignore[assignment]
    tasks = training.problem.tasks
    values: dict[str, list[float]] = {}
    for seed in seeds:
        for task in tasks:
            # Without a baseline each model is chosen by its own task's validation metric.
            alone = {**options, "tasks": [task], "baseline": None}
            cell = Cell(env, "equal", seed, alone)
            folder = out / env / "stl" / task / f"seed-{seed}"
            for key, value in with_progress(cell, folder, checkpoint_every)["test"].items():
                values.setdefault(key, []).append(value)
    return {key: float(np.mean(figures)) for key, figures in values.items()}


def to_toml(values: Mapping[str, float], source: str) -> str:
    """The values as a preset's baseline."""
    lines = [f'"{key}" = {value:.6g}' for key, value in values.items()]
    return "\n".join(
        ["[options.baseline]", f'source = "{source}"', "", "[options.baseline.values]", *lines, ""]
    )
