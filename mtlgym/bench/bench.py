"""Many cells, and the files that show what came of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mtlgym.bench.plan import Plan
from mtlgym.bench.runs.backends.backends import run_cells
from mtlgym.bench.runs.cell import Cell
from mtlgym.bench.runs.execution import PLAIN, Execution
from mtlgym.bench.runs.factory import make
from mtlgym.bench.runs.results import read_results
from mtlgym.bench.tuning import cells as tuned_cells
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
    """Run every agent from every seed; give the results of all finished cells of these options.

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
        if not {"label", "policy"} & set(result)
        and result.get("tuned", {}) in wanted
        and (tuned or result["options"] == mine)
    ]
    write_files(results, out, folder_of(out, env, tuned))
    return results


def folder_of(out: Path, env: str, tuned: Path | None) -> Path:
    """Where tables and plots of the environment's runs are; those of tuned agents are apart."""
    return out / env if tuned is None else out / env / "tuned"


def bench_table(
    plan: Plan,
    cells: Sequence[Cell],
    out: Path,
    how: Execution = PLAIN,
) -> list[dict[str, Any]]:
    """Run cells of a table preset; give the results of all its finished cells.

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


def check_and_run(cells: Sequence[Cell], out: Path, how: Execution) -> list[dict[str, Any]]:
    """Run the cells in their folders, once one of each kind has been made; give their results."""
    kinds = {repr(replace(cell, seed=0)): cell for cell in cells}
    for cell in kinds.values():
        try:
            make(cell)[0].close()
        except ValueError as error:
            raise ValueError(f"{cell.name} in {cell.env}: {error}") from error
    return run_cells([(cell, cell.folder(out)) for cell in cells], how)
