"""The command `mtlgym report`."""

from pathlib import Path

import tyro

from mtlgym.cli.bench import console


def report(runs: tyro.conf.Positional[Path], out: Path = Path("report")) -> int:
    """Make one page of all finished runs below a folder, with its tables and plots beside it.

    Args:
        runs: the folder that `mtlgym bench --out` or `mtlgym train --out` wrote to.
        out: folder for `index.html`, which needs no other file, tables as CSV, pictures as PNG.
    """
    from mtlgym.report.page import write_page

    page = write_page(out, runs)
    console.print(f"The report is {page}; its tables and plots are beside it")
    return 0
