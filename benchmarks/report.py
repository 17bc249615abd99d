"""Seconds that a report takes, and the size of its page.

    python benchmarks/report.py [--runs FOLDER] [--out FOLDER]

Of 6 agents in 2 environments from 5 seeds: real runs of small models. They are made on the first
call, which takes minutes, and kept in the folder.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro

from mtlgym.bench.runs.cell import Cell
from mtlgym.bench.runs.run import run_cell
from mtlgym.report.page import write_page

AGENTS = ("equal", "uw", "rlw", "dwa", "si", "igbv1")
SEEDS = range(5)
ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "MTL-QM9-Mini-v0": {"batch_size": 500, "epochs": 10, "dim": 8, "edge_hidden": 4},
    "MTL-Emoji-v0": {"hidden": 64, "latent": 32, "steps": 200},
}
SECONDS, MEGABYTES = 20, 5  # what they should stay below


@dataclass
class Args:
    """Where the runs are kept, and where the report goes."""

    runs: Path = Path("build/report-runs")
    out: Path = Path("build/report")


def main(args: Args) -> None:
    """Make the runs that are missing, then measure and print."""
    torch.set_num_threads(1)
    for env, options in ENVIRONMENTS.items():
        for agent in AGENTS:
            for seed in SEEDS:
                cell = Cell(env, agent, seed, options)
                run_cell(cell, cell.folder(args.runs))
    started = time.perf_counter()
    page = write_page(args.out, args.runs)
    seconds, size = time.perf_counter() - started, page.stat().st_size / 1e6
    print(f"{seconds:.1f} s (below {SECONDS}: {seconds < SECONDS})")
    print(f"{size:.2f} MB (below {MEGABYTES}: {size < MEGABYTES})")


if __name__ == "__main__":
    main(tyro.cli(Args))
