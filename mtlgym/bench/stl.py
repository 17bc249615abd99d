"""Single-task models: what multi-task training is compared with."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtlgym.bench.bench import run_cells
from mtlgym.bench.cell import Cell
from mtlgym.bench.making import make
from mtlgym.bench.run import CHECKPOINT_EVERY


def single_task(
    env: str,
    seeds: Sequence[int],
    out: Path,
    options: Mapping[str, Any],
    checkpoint_every: int = CHECKPOINT_EVERY,
    jobs: int = 1,
) -> dict[str, float]:
    """Train each task of the environment alone; its metrics on the test split, means over seeds.

    Each model is chosen by its own task's validation metric. Finished trainings are not run again.

    Raises:
        ValueError: for an unknown id or option, or a training that broke down.
    """
    tasks = make(Cell(env, "equal", 0, options))[0].problem.tasks
    places = [
        (
            Cell(env, "equal", seed, {**options, "tasks": [task], "baseline": None}),
            out / env / "stl" / task / f"seed-{seed}",
        )
        for seed in seeds
        for task in tasks
    ]
    if not places:
        raise ValueError("`seeds` must name at least one")
    values: dict[str, list[float]] = {}
    for result in run_cells(places, checkpoint_every, jobs):
        if result["failure"]:
            raise ValueError(f"{result['tasks']} alone, seed {result['seed']}: {result['failure']}")
        for key, value in result["test"].items():
            values.setdefault(key, []).append(value)
    return {key: float(np.mean(figures)) for key, figures in values.items()}


def to_toml(values: Mapping[str, float], source: str) -> str:
    """The values as a preset's baseline."""
    head = ["[options.baseline]", f"source = {json.dumps(source)}", "", "[options.baseline.values]"]
    return "\n".join([*head, *(f'"{key}" = {value:.6g}' for key, value in values.items()), ""])
