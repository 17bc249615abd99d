"""Single-task models: the baseline of multi-task training."""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from mtlgym.bench.runs.backends.backends import run_cells
from mtlgym.bench.runs.cell import Cell
from mtlgym.bench.runs.execution import PLAIN, Execution
from mtlgym.bench.runs.factory import make

STL = "stl"


def single_task(
    env: str,
    seeds: Sequence[int],
    out: Path,
    options: Mapping[str, Any],
    how: Execution = PLAIN,
) -> dict[str, float]:
    """Train each task of the environment alone; its metrics on the test split, means over seeds.

    Each model is chosen by its own task's validation metric. Finished trainings are not run again.

    Raises:
        ValueError: for an unknown id or option, or a training that broke down.
    """
    with closing(make(Cell(env, "equal", 0, options))[0]) as made:
        tasks = made.problem.tasks
    cells = [
        Cell(env, "equal", seed, {**options, "tasks": [task], "baseline": None})
        for seed in seeds
        for task in tasks
    ]
    places = [(cell, cell.folder(out / STL)) for cell in cells]  # separate from runs of all tasks
    if not places:
        raise ValueError("`seeds` must name at least one")
    values: dict[str, list[float]] = {}
    for result in run_cells(places, how):
        if result["failure"]:
            raise ValueError(f"{result['tasks']} alone, seed {result['seed']}: {result['failure']}")
        for key, value in result["test"].items():
            values.setdefault(key, []).append(value)
    return {key: float(np.mean(figures)) for key, figures in values.items()}


def to_toml(values: Mapping[str, float], source: str) -> str:
    """The values as a preset's baseline."""
    head = ["[options.baseline]", f"source = {json.dumps(source)}", "", "[options.baseline.values]"]
    return "\n".join([*head, *(f'"{key}" = {value:.6g}' for key, value in values.items()), ""])
