"""Many cells, one after another, and the files that show what came of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mtlgym import agents
from mtlgym.bench import plots, report
from mtlgym.bench.cell import Cell
from mtlgym.bench.jsonl import Log
from mtlgym.bench.run import Run, run_cell
from mtlgym.bench.summary import Row, summarise
from mtlgym.presets import preset

RESULTS = "results.jsonl"


def with_progress(cell: Cell, folder: Path, checkpoint_every: int) -> dict[str, Any]:
    """Run the cell with a progress bar on standard error."""
    with tqdm(desc=f"{cell.agent}, seed {cell.seed}", unit="step", dynamic_ncols=True) as bar:

        def show(run: Run) -> None:
            bar.total = run.budget
            bar.n = run.step
            if run.step % 20 == 0 or run.step == run.budget:
                bar.set_postfix_str(run.describe(), refresh=False)
                bar.refresh()

        return run_cell(cell, folder, show, checkpoint_every=checkpoint_every)


def bench(
    env: str,
    specs: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    options: Mapping[str, Any],
    checkpoint_every: int = 500,
) -> list[dict[str, Any]]:
    """Run every agent from every seed; finished cells are not run again.

    Raises:
        ValueError: for an unknown id, agent or option, before anything is run.
        OSError: if the folder cannot be written.
    """
    preset(env)
    for spec in specs:
        agents.environment_options(spec)
    results = []
    for seed in seeds:  # a seed at a time, so that a bench cut short compares all agents
        for spec in specs:
            cell = Cell(env, spec, seed, dict(options))
            results.append(with_progress(cell, cell.folder(out), checkpoint_every))
    write_files(results, out)
    return results


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
