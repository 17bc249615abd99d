"""Figures of quantities over a run: validation, losses, weights and choices."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mtlgym.report.plots import style
from mtlgym.report.plots.style import Palette
from mtlgym.report.sections import Section
from mtlgym.report.text import in_figure

POINTS = 150  # drawn of a curve
PANELS = 12  # of a figure of the page
STRETCHES = 20  # equal parts of a run; shares of choices are drawn for each

Log = Sequence[Mapping[str, Any]]
Logs = Mapping[str, Sequence[Log]]  # agent -> a log for each run, with at least one row each
Value = Callable[[Mapping[str, Any]], float | None]  # of a row of a log

score: Value = itemgetter("score")  # of validation; of a bandit, 1 minus the mean over the arms


def read_logs(section: Section) -> dict[str, list[Log]]:
    """The logs that have rows; an agent without any is left out."""
    found: dict[str, list[Log]] = {}
    for name, runs in section.agents.items():
        logs = [run.log() for run in runs]
        if any(logs):
            found[name] = [log for log in logs if log]
    return found


def learning_curves(
    section: Section, logs: Logs, palette: Palette, panels: int | None = PANELS
) -> Figure:
    """The validation score and each task's loss; with a limit of panels, of the first tasks."""
    tasks = section.tasks[: panels and panels - 1]
    figure, grid = style.grid(1 + len(tasks))
    _lines(grid[0], logs, palette, lambda name: score)
    grid[0].set_title(_score_title(section))
    for axes, task in zip(grid[1:], tasks, strict=True):
        _lines(axes, logs, palette, _loss_of(section, task))
        axes.set_title(f"{task}: loss")
        if _spans_decades(axes):
            axes.set_yscale("log", nonpositive="mask")
    _legend(figure, {name: palette[name] for name in logs})
    return figure


def curve(logs: Logs, palette: Palette, value: Value, title: str) -> Figure:
    """One value of the logs, a line for each agent."""
    figure, axes = style.panel()
    _lines(axes, logs, palette, lambda name: value)
    axes.set(ylabel=title)
    _legend(figure, {name: palette[name] for name in logs})
    return figure


def decisions(section: Section, logs: Logs, panels: int | None = PANELS) -> Figure:
    """Each task's mean weight or share of the choices: a panel an agent, a line a task.

    Choices are single tasks, so the shares are of equal parts of a run, drawn at their beginnings.
    """
    shown: Logs = dict(list(logs.items())[:panels])
    if chooses(section):
        shown = _shares(shown)
    numbers = style.palette_of(section.tasks)
    figure, grid = style.grid(len(shown))
    unit = _unit(shown)
    for axes, (name, runs) in zip(grid, shown.items(), strict=True):
        for index, task in enumerate(_tasks(section, name)):
            values = [_points(run, _weight(index), unit) for run in runs]
            _line(axes, values, numbers[task])
        axes.set_title(in_figure(name))
        _label(axes, unit)
    grid[0].set_ylabel("share of the choices" if chooses(section) else "mean weight")
    _legend(figure, numbers)
    return figure


def chooses(section: Section) -> bool:
    """Whether a decision is the choice of one task, not a weight for each."""
    return section.kind == "bandit" or any("task_sizes" in each for each in section.results)


def final_policies(section: Section) -> dict[str, NDArray[np.float64]]:
    """Each agent's policy over the section's tasks at the end of a run, a mean over seeds."""
    found = {
        name: [
            run.result["probabilities"]
            for run in runs
            if "probabilities" in run.result and run.result["tasks"] == section.tasks
        ]
        for name, runs in section.agents.items()
    }
    return {name: np.mean(each, axis=0) for name, each in found.items() if each}


def policies(section: Section) -> Figure:
    """The policies at the end beside the tasks' shares of the samples.

    Source: Glover and Hokamp (2019), Table 3.
    """
    shares = {in_figure(name): policy for name, policy in final_policies(section).items()}
    samples = [r["task_sizes"] for r in section.results if r.get("task_sizes")]
    sizes = [np.array(each, float) for each in samples if len(each) == len(section.tasks)]
    known = {"share of the samples": sizes[0] / sizes[0].sum()} if sizes else {}
    figure, axes = style.panel((8.0, 4.0))
    style.bars(axes, known, shares, section.tasks)
    axes.set_ylabel("probability")
    axes.tick_params(axis="x", labelrotation=30)
    style.legend(figure, axes)
    return figure


def _lines(axes: Axes, logs: Logs, palette: Palette, value: Callable[[str], Value]) -> None:
    """A line for each agent."""
    unit = _unit(logs)
    for name, runs in logs.items():
        _line(axes, [_points(run, value(name), unit) for run in runs], palette[name])
    _label(axes, unit)


def _line(axes: Axes, runs: Sequence[Iterable[tuple[float, float]]], index: int) -> None:
    """The mean over runs, with their range shaded, where at least half of the runs have a value."""
    points: dict[float, list[float]] = defaultdict(list)
    for run in runs:
        for place, value in run:
            points[place].append(value)
    x = sorted(place for place, values in points.items() if 2 * len(values) >= len(runs))
    if x:
        kept = np.unique(np.linspace(0, len(x) - 1, POINTS).round().astype(int))
        marker = {"marker": "."} if len(kept) == 1 else {}
        style.mean_and_range(axes, {x[k]: points[x[k]] for k in kept}, index, **marker)


def _points(log: Log, value: Value, unit: str) -> list[tuple[float, float]]:
    """The rows that have the value: where they are, and the value."""
    found = [(float(row[unit]), value(row)) for row in log]
    return [(place, float(each)) for place, each in found if each is not None]


def _unit(logs: Logs) -> str:
    """The key of the x-axis: `epoch`, or `step` where an epoch has several rows or none."""
    every = ([row.get("epoch") for row in log] for runs in logs.values() for log in runs)
    by_steps = any(None in epochs or len(set(epochs)) < len(epochs) for epochs in every)
    return "step" if by_steps else "epoch"


def _label(axes: Axes, unit: str) -> None:
    axes.set_xlabel(unit)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def _spans_decades(axes: Axes) -> bool:
    """Whether the lines' values above 0 differ by a factor of ten or more."""
    values = [np.asarray(line.get_ydata(), np.float64) for line in axes.lines]
    positive = np.concatenate([each[each > 0] for each in values] or [np.empty(0)])
    return len(positive) > 0 and bool(positive.max() >= 10 * positive.min())


def _loss_of(section: Section, task: str) -> Callable[[str], Value]:
    """The task's loss in an agent's logs; None where the agent's runs do not have the task."""

    def of_agent(name: str) -> Value:
        tasks = _tasks(section, name)
        index = tasks.index(task) if task in tasks else None
        return lambda row: None if index is None else row["losses"][index]

    return of_agent


def _weight(index: int) -> Value:
    return lambda row: row["weights"][index]


def _tasks(section: Section, name: str) -> list[str]:
    return section.agents[name][0].result["tasks"]


def _score_title(section: Section) -> str:
    if section.kind == "routing":
        return "1 - validation accuracy"
    if section.kind == "bandit":
        return "1 - mean score over the arms"
    if all(result["baseline"] for result in section.results):
        return "validation Δm [%], lower is better"
    return "validation score, lower is better"


def _shares(logs: Logs) -> dict[str, list[Log]]:
    """Logs of at most `STRETCHES` rows, with the mean weights of the rows in each part of a run."""
    longest = max(len(log) for runs in logs.values() for log in runs)
    size = -(-longest // STRETCHES)
    return {
        name: [[_mean(log[k : k + size]) for k in range(0, len(log), size)] for log in runs]
        for name, runs in logs.items()
    }


def _mean(rows: Log) -> dict[str, Any]:
    """The first row, with the means of the weights over all rows."""
    return {**rows[0], "weights": np.mean([row["weights"] for row in rows], axis=0).tolist()}


def _legend(figure: Figure, numbers: Palette) -> None:
    """A legend below all panels, in as many columns as fit."""
    longest = max(len(in_figure(name)) for name in numbers)
    columns = max(1, int(figure.get_figwidth() / (0.075 * longest + 0.6)))
    lines = [Line2D([], [], **style.line(index)) for index in numbers.values()]
    names = [in_figure(name) for name in numbers]
    figure.legend(lines, names, loc="outside lower center", ncols=columns, fontsize=8)
