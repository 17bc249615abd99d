"""Figures of the course of runs: validation, losses, decisions."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mtlgym.report.plots import style
from mtlgym.report.sections import Section
from mtlgym.report.text import in_picture

PLACES = 150  # of a curve that are drawn
PANELS = 12  # of a figure
STRETCHES = 20  # of a run, of whose choices shares are drawn

Log = Sequence[Mapping[str, Any]]
Logs = Mapping[str, Sequence[Log]]  # agent -> a log a run, each with a row or more
Palette = Mapping[str, int]  # agent -> the number of its line and its points
Value = Callable[[Mapping[str, Any]], float | None]  # of a row of a log


def read_logs(section: Section) -> dict[str, list[Log]]:
    """The logs that have rows; an agent without any is left out."""
    found: dict[str, list[Log]] = {}
    for name, runs in section.agents.items():
        logs = [run.log() for run in runs]
        if any(logs):
            found[name] = [log for log in logs if log]
    return found


def learning_curves(section: Section, logs: Logs, palette: Palette) -> Figure:
    """The validation score and each task's loss; of many tasks, the first ones."""
    tasks = section.tasks[: PANELS - 1]
    figure, panels = style.grid(1 + len(tasks))
    _lines(panels[0], logs, palette, lambda name: lambda row: row["score"])
    panels[0].set_title(_score(section))
    for axes, task in zip(panels[1:], tasks, strict=True):
        _lines(axes, logs, palette, _loss_of(section, task))
        axes.set_title(f"{task}: loss")
        if _spans_decades(axes):
            axes.set_yscale("log", nonpositive="mask")
    _legend(figure, {name: palette[name] for name in logs})
    return figure


def shortfall(logs: Logs, palette: Palette) -> Figure:
    """What the mean score over a bandit's arms lacks of 1, by pulls."""
    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.add_subplot()
    _lines(axes, logs, palette, lambda name: lambda row: row["score"])
    axes.set(ylabel="1 - mean score over the arms")
    _legend(figure, {name: palette[name] for name in logs})
    return figure


def decisions(section: Section, logs: Logs) -> Figure:
    """Each task's mean weight, or its share of the choices: a panel an agent, a line a task.

    Shares are of stretches of many choices, and stand where a stretch begins.
    """
    shown: Logs = dict(list(logs.items())[:PANELS])
    if chooses(section):
        shown = _stretches(shown)
    numbers = {task: index for index, task in enumerate(section.tasks)}
    figure, panels = style.grid(len(shown))
    unit = _unit(shown)
    for axes, (name, runs) in zip(panels, shown.items(), strict=True):
        for index, task in enumerate(_tasks(section, name)):
            values = [_points(run, _weight(index), unit) for run in runs]
            _line(axes, values, numbers[task])
        axes.set_title(in_picture(name))
        _label(axes, unit)
    panels[0].set_ylabel("share of the choices" if chooses(section) else "mean weight")
    _legend(figure, numbers)
    return figure


def chooses(section: Section) -> bool:
    """Whether a decision is the choice of one task, not a weight for each."""
    return section.kind == "bandit" or any("task_sizes" in each for each in section.results)


def _lines(axes: Axes, logs: Logs, palette: Palette, value: Callable[[str], Value]) -> None:
    """A line an agent."""
    unit = _unit(logs)
    for name, runs in logs.items():
        _line(axes, [_points(run, value(name), unit) for run in runs], palette[name])
    _label(axes, unit)


def _line(axes: Axes, runs: Sequence[Iterable[tuple[float, float]]], index: int) -> None:
    """The mean over runs, with their range shaded, as far as half of them got."""
    places: dict[float, list[float]] = defaultdict(list)
    for run in runs:
        for place, value in run:
            places[place].append(value)
    x = sorted(place for place, values in places.items() if 2 * len(values) >= len(runs))
    if not x:
        return
    kept = np.unique(np.linspace(0, len(x) - 1, PLACES).round().astype(int))
    x = [x[k] for k in kept]
    look = style.line(index) | ({"marker": "."} if len(x) == 1 else {})
    axes.plot(x, [np.mean(places[place]) for place in x], **look)
    low, high = ([end(places[place]) for place in x] for end in (min, max))
    if low != high:
        axes.fill_between(x, low, high, alpha=0.15, color=look["color"], linewidth=0)


def _points(log: Log, value: Value, unit: str) -> list[tuple[float, float]]:
    """Where the log has the value, and the value."""
    found = [(float(row[unit]), value(row)) for row in log]
    return [(place, float(each)) for place, each in found if each is not None]


def _unit(logs: Logs) -> str:
    """What rows are told apart by: `epoch`, or `step` where an epoch has several rows or none."""
    every = [log for runs in logs.values() for log in runs]
    return "step" if any(style.by_steps(log) for log in every) else "epoch"


def _label(axes: Axes, unit: str) -> None:
    axes.set_xlabel(unit)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def _spans_decades(axes: Axes) -> bool:
    """Whether the lines' values above 0 differ by a factor of ten or more."""
    values = [np.asarray(line.get_ydata(), np.float64) for line in axes.lines]
    positive = np.concatenate([each[each > 0] for each in values] or [np.empty(0)])
    return len(positive) > 0 and bool(positive.max() >= 10 * positive.min())


def _loss_of(section: Section, task: str) -> Callable[[str], Value]:
    """Gives the task's loss; None where an agent's runs do not have the task."""

    def of_agent(name: str) -> Value:
        tasks = _tasks(section, name)
        index = tasks.index(task) if task in tasks else None
        return lambda row: None if index is None else row["losses"][index]

    return of_agent


def _weight(index: int) -> Value:
    return lambda row: row["weights"][index]


def _tasks(section: Section, name: str) -> list[str]:
    return section.agents[name][0].result["tasks"]


def _score(section: Section) -> str:
    if section.kind == "routing":
        return "1 - validation accuracy"
    if all(result["baseline"] for result in section.results):
        return "validation Δm [%], lower is better"
    return "validation score, lower is better"


def _stretches(logs: Logs) -> dict[str, list[Log]]:
    """Logs of as many rows as there may be stretches, with mean weights of the rows in each."""
    longest = max(len(log) for runs in logs.values() for log in runs)
    size = -(-longest // STRETCHES)
    return {
        name: [[_mean(log[k : k + size]) for k in range(0, len(log), size)] for log in runs]
        for name, runs in logs.items()
    }


def _mean(rows: Log) -> dict[str, Any]:
    """The first row, with the weights' means over all."""
    return {**rows[0], "weights": np.mean([row["weights"] for row in rows], axis=0).tolist()}


def _legend(figure: Figure, numbers: Palette) -> None:
    """A legend below all panels, in as many columns as fit."""
    longest = max(len(in_picture(name)) for name in numbers)
    columns = max(1, int(figure.get_figwidth() / (0.075 * longest + 0.6)))
    lines = [Line2D([], [], **style.line(index)) for index in numbers.values()]
    names = [in_picture(name) for name in numbers]
    figure.legend(lines, names, loc="outside lower center", ncols=columns, fontsize=8)
