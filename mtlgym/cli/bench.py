"""The command `mtlgym bench`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from mtlgym.bench.plan import Plan, figure_cells, plan
from mtlgym.bench.runs.cell import Cell
from mtlgym.bench.runs.execution import PLAIN, Execution, Flat
from mtlgym.bench.runs.options import Options, parse_options
from mtlgym.io.atomic import write_atomically
from mtlgym.lookup import lookup
from mtlgym.presets.published import TablePreset, figures, table, tables
from mtlgym.presets.published import figure as figure_of

AGENTS = ("equal", "rlw", "uw", "igbv1", "igbv2")
FAILED = 1  # exit code
console = Console(markup=False, highlight=False)


def bench(
    env: str | None = None,
    agents: tuple[str, ...] = AGENTS,
    preset: str | None = None,
    rows: tuple[str, ...] = (),
    data: Literal["auto", "real", "embedded"] = "auto",
    seeds: tuple[int, ...] = (),
    out: Path = Path("runs"),
    options: Options = (),
    stl: bool = False,
    tuned: Path | None = None,
    how: Flat = PLAIN,
) -> int:
    """Train by several agents, or as a published table does; write results, tables and plots.

    Finished runs are kept, and a run that was cut short is continued from its last checkpoint.

    Args:
        env: id of the environment; see `mtlgym list`.
        agents: as for `mtlgym train`; training times are relative to `equal`.
        preset: a published table or figure in place of `env` and `agents`; see `mtlgym list`. A
            prefix of names up to a dash, as `vmtl-table15`, means all presets with it.
        rows: which rows of the preset, by their labels; all by default.
        data: of the preset: `auto` takes the real data if they are there, else a stand-in, which
            is what `embedded` takes; `real` takes nothing else.
        seeds: one run a seed and agent; 0, or the preset's, by default.
        out: folder for everything.
        options: options of the environment.
        stl: train each task alone in place of the agents, and print the figures as a baseline.
        tuned: a file of `mtlgym tune`: agents run as they were tuned, all of them without `agents`.
        how: how the runs are carried out.
    """
    import torch

    torch.set_num_threads(1)
    if (env is None) == (preset is None):
        raise ValueError("one of `--env` and `--preset` must be given, and not both")
    given = parse_options(options)
    if preset is not None:
        if stl or tuned or agents != AGENTS:
            raise ValueError(
                "`--stl`, `--tuned` and `--agents` go with `--env`; a preset has `--rows`"
            )
        return _presets(presets_of(preset), rows, data, seeds, out, given, how)
    assert env is not None
    if rows or data != "auto":
        raise ValueError("`--rows` and `--data` go with `--preset`; with `--env`, `--set data=...`")
    seeds = seeds or (0,)
    if stl:
        return _single_task(env, seeds, out, options, how)
    from mtlgym.bench.bench import bench as run_all
    from mtlgym.bench.bench import folder_of

    if tuned is not None:
        if given:
            raise ValueError("`--set` does not go with `--tuned`, whose file has the options")
        agents = () if agents == AGENTS else agents
    results = run_all(env, agents, seeds, out, given, how, tuned)
    return _tell(results, folder_of(out, env, tuned))


def presets_of(name: str) -> list[str]:
    """The preset of that name, or else all whose names start with it and a dash.

    Raises:
        ValueError: for a name that is neither; names the nearest.
    """
    known = {**tables(), **figures()}
    parts = [each for each in known if each.startswith(f"{name}-")]
    if name in known or not parts:
        lookup(known, name, "preset")
        return [name]
    return parts


def _presets(
    names: Sequence[str],
    rows: Sequence[str],
    data: str,
    seeds: Sequence[int],
    out: Path,
    options: dict[str, Any],
    how: Execution,
) -> int:
    """Run the presets of these names, tables and figures."""
    drawn = [name for name in names if name in figures()]
    if drawn and data != "auto":
        raise ValueError("`--data` does not go with a figure of bandits, which are synthetic")
    plans = [plan(table(name), data, options) for name in names if name in tables()]
    runs = [(each, each.cells(rows, seeds)) for each in plans]
    codes = [_table(each, cells, out, how) for each, cells in runs]
    codes += [_figure(name, rows, seeds, out, dict(options), how) for name in drawn]
    return max(codes)


def _table(chosen: Plan, cells: Sequence[Cell], out: Path, how: Execution) -> int:
    """Print which data are used, then run cells of a table preset."""
    from mtlgym.bench.bench import bench_table

    console.print(chosen.describe(), soft_wrap=True, style=None if chosen.real else "yellow")
    results = bench_table(chosen, cells, out, how)
    return _tell(results, chosen.folder(out), chosen.table)


def _figure(
    name: str,
    labels: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    options: dict[str, Any],
    how: Execution,
) -> int:
    """Run policies of a figure preset on all its bandits; print the table, write all files."""
    from mtlgym.bench.bench import bench_figure
    from mtlgym.report import bandit_figure

    if "oracle" in options:
        raise ValueError("`oracle` is drawn in a figure; `--set oracles=N` says how many")
    figure = figure_of(name, labels, options.pop("oracles", None))
    policies = bench_figure(figure, figure_cells(figure, seeds, options), out, how)
    console.print(bandit_figure.terminal(figure, policies))
    console.print(f"Tables and plots are in {out / figure.env / figure.name}")
    return 0


def _tell(
    results: Sequence[dict[str, Any]], folder: Path, preset: TablePreset | None = None
) -> int:
    """Print the table; the exit code is 1 if a run failed."""
    from mtlgym.report.run_tables import RunTable

    console.print(RunTable.of(results, preset).terminal())
    console.print(f"Tables and plots are in {folder}")
    return FAILED if any(result["failure"] for result in results) else 0


def _single_task(
    env: str, seeds: Sequence[int], out: Path, options: Sequence[str], how: Execution
) -> int:
    """Train each task alone; print and write the figures as a baseline."""
    from mtlgym.bench import single_task as stl

    values = stl.single_task(env, seeds, out, parse_options(options), how)
    command = f"mtlgym bench --env {env} --stl --seeds {' '.join(map(str, seeds))}"
    command += f" --set {' '.join(options)}" if options else ""
    text = stl.to_toml(values, command)
    write_atomically(out / stl.STL / env / "stl.toml", text.encode())
    console.print(text, soft_wrap=True)
    return 0
