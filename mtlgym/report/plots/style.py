"""Pictures of a bench: learning curves, weights, and the trade-off of quality and time."""

import io
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mtlgym.bench.runs.cell import LOG, Cell
from mtlgym.io.atomic import write_atomically
from mtlgym.io.jsonl import read
from mtlgym.report.summary import Row

# Okabe and Ito's palette, told apart with any colour vision, then the same with other lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
STYLES = ("-", "--", ":")

Logs = Mapping[str, list[list[dict[str, Any]]]]  # cell's name -> a log a seed -> a row a period
Value = Callable[[str, Mapping[str, Any]], float | None]  # of a cell's name and a row of its log


def read_logs(out: Path, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The logs of finished cells: name -> [rows of a seed]."""
    logs: dict[str, Any] = defaultdict(list)
    for result in results:
        cell = Cell.of(result)
        logs[cell.name].append(read(cell.folder(out) / LOG))
    return logs


def learning_curves(logs: Logs, tasks: Mapping[str, Sequence[str]]) -> Figure:
    """The score (of validation; of a bandit, what the mean score lacks of 1) and mean losses.

    Args:
        logs: cell's name -> its logs.
        tasks: cell's name -> its tasks, in the order of its losses.
    """
    every = list(dict.fromkeys(task for names in tasks.values() for task in names))
    figure, panels = grid(1 + len(every))
    curves(panels[0], logs, lambda name, row: row["score"], "score, lower is better")
    for axes, task in zip(panels[1:], every, strict=True):
        curves(axes, logs, _loss(tasks, task), f"{task}: loss")
        axes.set_yscale("log")
    legend(figure, panels[0])
    return figure


def weight_trajectories(logs: Logs, tasks: Sequence[str]) -> Figure:
    """Each task's mean weight in an epoch or period, a panel an agent; the first seed's run."""
    figure, panels = grid(len(logs))
    for axes, (name, runs) in zip(panels, logs.items(), strict=False):
        weights = np.array([row["weights"] for row in runs[0]])
        for index, task in enumerate(tasks):
            axes.plot(_when(runs[0]), weights[:, index], label=task, **line(index))
        axes.set_title(name, fontsize="small")
        _label(axes, runs[0])
    panels[0].set_ylabel("mean weight")
    legend(figure, panels[0])
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
    """Save the figure as PNG, whole or not at all.

    Raises:
        OSError: if it cannot be written; the old file is untouched.
    """
    FigureCanvasAgg(figure)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=130, format="png")
    write_atomically(path, picture.getvalue())


def grid(panels: int) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels."""
    columns = min(panels, 4)
    lines = -(-panels // columns)
    figure = Figure(figsize=(3.2 * columns, 2.4 * lines + 0.5), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for unused in axes[panels:]:
        unused.set_axis_off()
    return figure, list(axes[:panels])


def band(axes: Axes, x: NDArray[Any], values: NDArray[Any], label: str, index: int) -> None:
    """The median over the runs, (points, runs), with the range of the runs shaded."""
    axes.plot(x, np.median(values, axis=1), label=label, **line(index))
    low, high = values.min(axis=1), values.max(axis=1)
    axes.fill_between(x, low, high, alpha=0.15, color=line(index)["color"])


def bars(
    axes: Axes,
    known: Mapping[str, NDArray[Any]],
    shares: Mapping[str, NDArray[Any]],
    names: Sequence[str],
) -> None:
    """Distributions over the same names side by side; the known ones first, in grey."""
    both = [(*each, "#BBBBBB") for each in known.items()]
    both += [(*e, COLOURS[i % len(COLOURS)]) for i, e in enumerate(shares.items())]
    width, places = 0.8 / len(both), np.arange(len(names))
    for index, (label, values, colour) in enumerate(both):
        offset = (index - (len(both) - 1) / 2) * width
        axes.bar(places + offset, values, width, label=label, color=colour)
    axes.set_xticks(places, names)


def distributions(results: Sequence[Mapping[str, Any]]) -> Figure:
    """The policies at the end, means over seeds, beside the tasks' shares of the samples.

    Source: Glover and Hokamp (2019), Table 3.
    """
    chosen = [result for result in results if "probabilities" in result]
    policies: dict[str, list[Any]] = defaultdict(list)
    for result in chosen:
        policies[Cell.of(result).name].append(result["probabilities"])
    shares = {name: np.mean(found, axis=0) for name, found in policies.items()}
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    sizes = np.array(chosen[0].get("task_sizes", ()), float)
    known = {"share of the samples": sizes / sizes.sum()} if len(sizes) else {}
    bars(axes, known, shares, chosen[0]["tasks"])
    axes.set_ylabel("probability")
    axes.tick_params(axis="x", labelrotation=30)
    legend(figure, axes)
    return figure


def curves(axes: Axes, logs: Logs, value: Value, title: str) -> None:
    """A line an agent: the mean over seeds, with the range of the seeds shaded."""
    for index, (name, runs) in enumerate(logs.items()):
        length = min(len(run) for run in runs)
        rows = [[value(name, row) for row in run[:length]] for run in runs]
        values: NDArray[np.float64] = np.array(rows, dtype=float)  # None becomes NaN
        x = _when(runs[0][:length])
        axes.plot(x, values.mean(axis=0), label=name, **line(index))
        low, high = values.min(axis=0), values.max(axis=0)
        axes.fill_between(x, low, high, alpha=0.15, color=line(index)["color"])
    axes.set_title(title, fontsize="small")
    _label(axes, next(iter(logs.values()))[0])


def _loss(tasks: Mapping[str, Sequence[str]], task: str) -> Value:
    """Gives the task's loss; None where a cell does not have the task."""

    def loss(name: str, row: Mapping[str, Any]) -> float | None:
        return row["losses"][tasks[name].index(task)] if task in tasks[name] else None

    return loss


def by_steps(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether rows are steps apart: there are no epochs, or several rows in one."""
    epochs = [row.get("epoch") for row in rows]
    return None in epochs or len(set(epochs)) < len(epochs)


def _when(rows: Sequence[Mapping[str, Any]]) -> NDArray[Any]:
    """Where the rows of a log stand."""
    return np.array([row["step" if by_steps(rows) else "epoch"] for row in rows])


def _label(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    axes.set_xlabel("step" if by_steps(rows) else "epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def line(index: int) -> dict[str, Any]:
    """How the line of that number looks."""
    style = STYLES[index // len(COLOURS) % len(STYLES)]
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": style, "linewidth": 1.2}


def legend(figure: Figure, axes: Axes, columns: int = 6) -> None:
    """One legend for all panels, below them: that of one panel."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize="small")


Points = Mapping[float, list[float]]  # where runs stand on the axis -> a value a run, at least one


def draw(axes: Axes, points: Points, label: str, index: int) -> None:
    """The mean over the runs at each place, with their range shaded."""
    x = sorted(points)
    middle = [np.mean(points[place]) for place in x]
    low, high = ([end(points[place]) for place in x] for end in (min, max))
    axes.plot(x, middle, marker="o", label=label, **line(index))
    axes.fill_between(x, low, high, alpha=0.15, color=line(index)["color"])
