"""Benchmarks: many cells, and the tables and plots of their results."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mtlgym.bench.plan import Plan
from mtlgym.bench.runs.backends.backends import run_cells
from mtlgym.bench.runs.cell import LOG, Cell
from mtlgym.bench.runs.execution import PLAIN, Execution
from mtlgym.bench.runs.factory import make
from mtlgym.bench.runs.results import read_results
from mtlgym.bench.tuning import cells as tuned_cells
from mtlgym.io import jsonl
from mtlgym.presets.published import FigurePreset
from mtlgym.report import bandit_figure
from mtlgym.report.run_tables import write_files


def bench(
    env: str,
    specs: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    options: Mapping[str, Any],
    how: Execution = PLAIN,
    tuned: Path | None = None,
) -> list[dict[str, Any]]:
    """Run every agent from every seed; return the results of all finished cells of these options.

    Finished cells are not run again. With `tuned`, a file of `mtlgym tune`, the agents run as they
    were tuned, all that were if `specs` names none, with the options that they were tuned with.

    Raises:
        ValueError: for an unknown id, agent or option, before anything is run.
        OSError: if the folder cannot be written.
    """
    # A seed at a time, so that a bench that is cut short compares all agents.
    cells = [Cell(env, spec, seed, dict(options)) for seed in seeds for spec in specs]
    if tuned is not None:
        cells = tuned_cells(tuned, env, specs, seeds)
    if not cells:
        raise ValueError("`agents` and `seeds` must each name at least one")
    check_and_run(cells, out, how)
    mine = json.loads(json.dumps(dict(options)))
    wanted = json.loads(json.dumps([dict(cell.tuned) for cell in cells]))
    results = [
        result
        for result in read_results(out, env)
        if not {"label", "policy", "bandits"} & set(result)
        and result.get("tuned", {}) in wanted
        and (tuned or result["options"] == mine)
    ]
    write_files(results, out, folder_of(out, env, tuned))
    return results


def folder_of(out: Path, env: str, tuned: Path | None) -> Path:
    """The folder of the tables and plots; those of tuned agents have their own."""
    return out / env if tuned is None else out / env / "tuned"


def bench_table(
    plan: Plan,
    cells: Sequence[Cell],
    out: Path,
    how: Execution = PLAIN,
) -> list[dict[str, Any]]:
    """Run cells of a table preset; return the results of all its finished cells.

    Finished cells are not run again. Cells of equal rows are shared by presets; tables and plots
    are in a folder a preset.

    Raises:
        ValueError: for an unknown option, before anything is run.
        OSError: if the folder cannot be written.
    """
    check_and_run(cells, out, how)
    results = plan.of(read_results(out, plan.env))
    write_files(results, out, plan.folder(out), plan.table)
    return results


def bench_figure(
    figure: FigurePreset, cells: Sequence[Cell], out: Path, how: Execution = PLAIN
) -> bandit_figure.Policies:
    """Run the cells of a figure preset; return the curves of their policies.

    Finished cells are not run again. Tables and plots are of these cells.

    Raises:
        ValueError: for an unknown option, before anything is run.
        OSError: if the folder cannot be written.
    """
    results = check_and_run(cells, out, how)
    logs = [jsonl.read(cell.folder(out) / LOG) for cell in cells]
    return bandit_figure.write(figure, results, logs, out / figure.env / figure.name)


def check_and_run(cells: Sequence[Cell], out: Path, how: Execution) -> list[dict[str, Any]]:
    """Make one cell of each agent and options as a check, run all; return their results."""
    kinds = {repr(replace(cell, seed=0)): cell for cell in cells}
    for cell in kinds.values():
        try:
            make(cell)[0].close()
        except ValueError as error:
            raise ValueError(f"{cell.name} in {cell.env}: {error}") from error
    return run_cells([(cell, cell.folder(out)) for cell in cells], how)
