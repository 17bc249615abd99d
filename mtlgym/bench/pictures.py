"""Which pictures are drawn of which results."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mtlgym.bench import domain_plots, plots, routing_plots
from mtlgym.bench.runs.cell import Cell
from mtlgym.bench.summary import summarise

Results = Sequence[dict[str, Any]]
Writer = Callable[[Results, plots.Logs, Path], None]


def write(results: Results, out: Path, folder: Path) -> None:
    """Draw all that these results of one environment can show.

    Args:
        results: of finished cells, at least one.
        out: the folder that has the cells' folders, and so their logs, in it.
        folder: where the pictures go.
    """
    logs = plots.read_logs(out, results)
    tasks = {Cell.of(result).name: result["tasks"] for result in results}
    plots.write(plots.learning_curves(logs, tasks), folder / "learning-curves.png")
    for each in WRITERS["routing" if "routes" in results[0] else "training"]:
        each(results, logs, folder)


def weights_and_quality(results: Results, logs: plots.Logs, folder: Path) -> None:
    """Draw the course of the weights, what quality took how long, and policies at the end."""
    plots.write(plots.weight_trajectories(logs, results[0]["tasks"]), folder / "weights.png")
    plots.write(plots.trade_off(summarise(results)), folder / "trade-off.png")
    if any("probabilities" in result for result in results):
        plots.write(plots.distributions(results), folder / "policies.png")


# By the kind of environment; each leaves out what the results do not tell.
WRITERS: Mapping[str, tuple[Writer, ...]] = {
    "routing": (routing_plots.write,),
    "training": (weights_and_quality, domain_plots.write),
}
