"""Many cells, and the files that show what came of them."""

import json
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from mtlgym import checks
from mtlgym.bench import pictures, report
from mtlgym.bench.cell import ROWS, Cell
from mtlgym.bench.making import make
from mtlgym.bench.plan import Plan
from mtlgym.bench.run import CHECKPOINT_EVERY, Run, run_cell
from mtlgym.bench.summary import read_results, summarise
from mtlgym.bench.tables import TablePreset
from mtlgym.files import write_atomically

RESULTS = "results.jsonl"

Place = tuple[Cell, Path]  # a cell and its folder


def bench(
    env: str,
    specs: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    options: Mapping[str, Any],
    checkpoint_every: int = CHECKPOINT_EVERY,
    jobs: int = 1,
) -> list[dict[str, Any]]:
    """Run every agent from every seed; give the results of all finished cells of these options.

    Finished cells are not run again.

    Raises:
        ValueError: for an unknown id, agent or option, before anything is run.
        OSError: if the folder cannot be written.
    """
    # A seed at a time, so that a bench that is cut short compares all agents.
    cells = [Cell(env, spec, seed, dict(options)) for seed in seeds for spec in specs]
    if not cells:
        raise ValueError("`agents` and `seeds` must each name at least one")
    check_and_run(cells, out, checkpoint_every, jobs)
    mine = json.loads(json.dumps(dict(options)))
    results = [result for result in read_results(out / env) if result["options"] == mine]
    write_files(results, out, out / env)
    return results


def bench_table(
    plan: Plan,
    cells: Sequence[Cell],
    out: Path,
    checkpoint_every: int = CHECKPOINT_EVERY,
    jobs: int = 1,
) -> list[dict[str, Any]]:
    """Run cells of a table preset; give the results of all its finished cells.

    Finished cells are not run again. Cells of equal rows are shared by presets; tables and plots
    are in a folder a preset.

    Raises:
        ValueError: for an unknown option, before anything is run.
        OSError: if the folder cannot be written.
    """
    check_and_run(cells, out, checkpoint_every, jobs)
    results = plan.of(read_results(out / plan.env / ROWS))
    write_files(results, out, plan.folder(out), plan.table)
    return results


def check_and_run(cells: Sequence[Cell], out: Path, checkpoint_every: int, jobs: int) -> None:
    """Run the cells in their folders, once one of each kind has been made."""
    for cell in {cell.name: cell for cell in cells}.values():
        make(cell)[0].close()
    run_cells([(cell, cell.folder(out)) for cell in cells], checkpoint_every, jobs)


def run_cells(places: Sequence[Place], checkpoint_every: int, jobs: int) -> list[dict[str, Any]]:
    """The cells' results in order; with more than one job, in worker processes of one thread."""
    checks.integer("jobs", jobs, least=1)
    if jobs == 1:
        order = [index for wave in waves(places) for index in wave]
        found = {index: with_progress(*places[index], checkpoint_every) for index in order}
        return [found[index] for index in range(len(places))]
    spawn = multiprocessing.get_context("spawn")
    results: dict[int, dict[str, Any]] = {}
    with ProcessPoolExecutor(jobs, spawn, torch.set_num_threads, (1,)) as pool:
        try:
            for wave in waves(places):
                futures = {
                    pool.submit(run_cell, *places[index], checkpoint_every=checkpoint_every): index
                    for index in wave
                }
                done = as_completed(futures)
                for future in tqdm(done, total=len(futures), unit="run", dynamic_ncols=True):
                    results[futures[future]] = future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # else the others are still run
            for process in multiprocessing.active_children():
                process.terminate()
            raise
    return [results[index] for index in range(len(places))]


def waves(places: Sequence[Place]) -> list[list[int]]:
    """Which places are run first and which, as they learn from the decisions of those, after."""
    labels = {cell.label for cell, _ in places}
    late = [cell.log_of != "" and cell.log_of in labels for cell, _ in places]
    return [[index for index, waits in enumerate(late) if waits == wave] for wave in (False, True)]


def with_progress(cell: Cell, folder: Path, checkpoint_every: int) -> dict[str, Any]:
    """Run the cell with a progress bar on standard error."""
    with tqdm(desc=f"{cell.name}, seed {cell.seed}", unit="step", dynamic_ncols=True) as bar:

        def show(run: Run) -> None:
            bar.total = run.budget
            bar.set_postfix_str(run.describe(), refresh=False)
            bar.update(run.step - bar.n)

        return run_cell(cell, folder, show, checkpoint_every=checkpoint_every)


def write_files(
    results: Sequence[dict[str, Any]], out: Path, folder: Path, preset: TablePreset | None = None
) -> None:
    """Write one result a line, the tables and the plots of one environment's cells.

    Args:
        results: of the cells.
        out: the folder that has the cells' folders in it.
        folder: where the files go.
        preset: the table that the cells are rows of.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(result) + "\n" for result in results)
    write_atomically(folder / RESULTS, lines.encode())
    rows = summarise(results)
    published = preset.published(results) if preset else {}
    write_atomically(folder / "table.md", report.markdown(rows, results, preset).encode())
    write_atomically(folder / "table.csv", report.comma_separated(rows, published).encode())
    pictures.write(results, out, folder)
