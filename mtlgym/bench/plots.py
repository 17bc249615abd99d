"""Pictures of a bench: learning curves, weights, and the trade-off of quality and time."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mtlgym.bench.cell import LOG, Cell
from mtlgym.bench.jsonl import read
from mtlgym.bench.summary import Row

# Okabe and Ito's palette, told apart with any colour vision, then the same with other lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
STYLES = ("-", "--", ":")

Logs = Mapping[str, list[list[dict[str, Any]]]]  # cell's name -> a log a seed -> a row an epoch


def read_logs(out: Path, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The logs of finished cells: name -> [rows of a seed]."""
    logs: dict[str, Any] = defaultdict(list)
    for result in results:
        cell = Cell.of(result)
        logs[cell.name].append(read(cell.folder(out) / LOG))
    return logs


def learning_curves(logs: Logs, tasks: Sequence[str]) -> Figure:
    """Validation score, and each task's mean training loss, over the epochs."""
    figure, panels = _grid(1 + len(tasks))
    _curves(panels[0], logs, lambda row: row["score"], "validation score, lower is better")
    for index, task in enumerate(tasks):
        _curves(panels[1 + index], logs, lambda row, i=index: row["losses"][i], f"{task}: loss")
        panels[1 + index].set_yscale("log")
    _legend(figure, panels[0])
    return figure


def weight_trajectories(logs: Logs, tasks: Sequence[str]) -> Figure:
    """Each task's mean weight in an epoch, a panel an agent; the first seed's run."""
    figure, panels = _grid(len(logs))
    for axes, (name, runs) in zip(panels, logs.items(), strict=False):
        weights = np.array([row["weights"] for row in runs[0]])
        for index, task in enumerate(tasks):
            axes.plot(np.arange(1, len(weights) + 1), weights[:, index], label=task, **_line(index))
        axes.set_title(name, fontsize="small")
        _epochs(axes)
    panels[0].set_ylabel("mean weight")
    _legend(figure, panels[0])
    return figure


def trade_off(rows: Sequence[Row]) -> Figure:
    """Delta_m against relative training time; bars are 95 % intervals."""
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for index, row in enumerate(rows):
        if not {"T", "delta_m"} <= set(row.figures):
            continue
        x, y = row.figures["T"], row.figures["delta_m"]
        axes.errorbar(
            x.mean,
            y.mean,
            xerr=np.nan_to_num(x.half_width),
            yerr=np.nan_to_num(y.half_width),
            marker="o",
            color=COLOURS[index % len(COLOURS)],
        )
        axes.annotate(row.name, (x.mean, y.mean), textcoords="offset points", xytext=(6, 4))
    axes.set(xlabel="T: training time, equal weights = 1", ylabel="Δm [%], lower is better")
    return figure


def write(figure: Figure, path: Path) -> None:
    """Save the figure as PNG."""
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=130)


def _grid(panels: int) -> tuple[Figure, list[Axes]]:
    columns = min(panels, 4)
    lines = -(-panels // columns)
    figure = Figure(figsize=(3.2 * columns, 2.4 * lines + 0.5), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for unused in axes[panels:]:
        unused.set_axis_off()
    return figure, list(axes[:panels])


def _curves(axes: Axes, logs: Logs, value: Any, title: str) -> None:
    """A line an agent: the mean over seeds, with the range of the seeds shaded."""
    for index, (name, runs) in enumerate(logs.items()):
        length = min(len(run) for run in runs)
        rows = [[value(row) for row in run[:length]] for run in runs]
        values: NDArray[np.float64] = np.array(rows, dtype=float)  # None becomes NaN
        epochs = np.arange(1, length + 1)
        axes.plot(epochs, values.mean(axis=0), label=name, **_line(index))
        low, high = values.min(axis=0), values.max(axis=0)
        axes.fill_between(epochs, low, high, alpha=0.15, color=_line(index)["color"])
    axes.set_title(title, fontsize="small")
    _epochs(axes)


def _epochs(axes: Axes) -> None:
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _line(index: int) -> dict[str, Any]:
    style = STYLES[index // len(COLOURS) % len(STYLES)]
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": style, "linewidth": 1.2}


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize="small")
