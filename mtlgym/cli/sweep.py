"""The command `mtlgym sweep`."""

from pathlib import Path

import tyro

from mtlgym.bench import sweep as grids
from mtlgym.bench.runs.execution import PLAIN, Flat
from mtlgym.cli.bench import FAILED, console


def sweep(grid: tyro.conf.Positional[Path], out: Path = Path("runs"), how: Flat = PLAIN) -> int:
    """Run every combination in a file. An interrupted sweep continues when called again.

    Args:
        grid: a TOML file; docs/sweeps.md has an example.
        out: folder for everything; `mtlgym report` reads it.
        how: how the runs are carried out.
    """
    cells = grids.read(grid)
    import torch

    from mtlgym.bench.bench import check_and_run

    torch.set_num_threads(1)
    results = check_and_run(cells, out, how)
    broken = [result for result in results if result["failure"]]
    console.print(f"{len(results)} runs are in {out}; `mtlgym report {out}` makes a page of them")
    for result in broken:
        console.print(f"{result['agent']}, seed {result['seed']}: {result['failure']}", style="red")
    return FAILED if broken else 0
