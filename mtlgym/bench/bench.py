"""Many cells, and the files that show what came of them."""

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from mtlgym import agents
from mtlgym.bench import plots, report
from mtlgym.bench.cell import Cell
from mtlgym.bench.jsonl import Log
from mtlgym.bench.run import Run, run_cell
from mtlgym.bench.summary import Row, summarise
from mtlgym.presets import preset

RESULTS = "results.jsonl"

Place = tuple[Cell, Path]  # a cell and its folder


def bench(
    env: str,
    specs: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    options: Mapping[str, Any],
    checkpoint_every: int = 500,
    jobs: int = 1,
) -> list[dict[str, Any]]:
    """Run every agent from every seed; finished cells are not run again.

    Raises:
        ValueError: for an unknown id, agent or option, before anything is run.
        OSError: if the folder cannot be written.
    """
    preset(env)
    for spec in specs:
        agents.environment_options(spec)
    # A seed at a time, so that a bench that is cut short compares all agents.
    cells = [Cell(env, spec, seed, dict(options)) for seed in seeds for spec in specs]
    results = run_cells([(cell, cell.folder(out)) for cell in cells], checkpoint_every, jobs)
    write_files(results, out)
    return results


def run_cells(places: Sequence[Place], checkpoint_every: int, jobs: int) -> list[dict[str, Any]]:
    """The cells' results in order; with more than one job, in worker processes of one thread."""
    if not jobs > 0:
        raise ValueError(f"`jobs` must be a positive number of processes, not {jobs}")
    if jobs == 1:
        return [with_progress(cell, folder, checkpoint_every) for cell, folder in places]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, spawn, torch.set_num_threads, (1,)) as pool:
        futures = [
            pool.submit(run_cell, cell, folder, checkpoint_every=checkpoint_every)
            for cell, folder in places
        ]
        for _ in tqdm(as_completed(futures), total=len(futures), unit="run", dynamic_ncols=True):
            pass
        return [future.result() for future in futures]


def with_progress(cell: Cell, folder: Path, checkpoint_every: int) -> dict[str, Any]:
    """Run the cell with a progress bar on standard error."""
    with tqdm(desc=f"{cell.agent}, seed {cell.seed}", unit="step", dynamic_ncols=True) as bar:

        def show(run: Run) -> None:
            bar.total = run.budget
            bar.set_postfix_str(run.describe(), refresh=False)
            bar.update(run.step - bar.n)

        return run_cell(cell, folder, show, checkpoint_every=checkpoint_every)


def write_files(results: Sequence[dict[str, Any]], out: Path) -> list[Row]:
    """Write one result a line, the tables and the plots; give the tables' rows."""
    log = Log(out / RESULTS)
    for result in results:
        log.write(result)
    rows = summarise(results)
    (out / "table.md").write_text(report.markdown(rows, results), encoding="utf-8")
    (out / "table.csv").write_text(report.comma_separated(rows), encoding="utf-8")
    tasks = results[0]["tasks"]
    for env, logs in plots.read_logs(out, results).items():
        plots.write(plots.learning_curves(logs, tasks), out / f"{env}-learning-curves.png")
        plots.write(plots.weight_trajectories(logs, tasks), out / f"{env}-weights.png")
        mine = [row for row in rows if row.env == env]
        plots.write(plots.trade_off(mine), out / f"{env}-trade-off.png")
    return rows
