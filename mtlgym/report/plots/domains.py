"""Figures of tasks that are domains: relatedness, shares of labels, attacks, training loss."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mtlgym.bench.runs.cell import Cell
from mtlgym.report.plots import curves, style
from mtlgym.report.plots.curves import Logs
from mtlgym.report.plots.style import Palette, Points

ACCURACY, AVERAGE = "accuracy", "average"
ATTACKED = re.compile(r".+/(accuracy_fgsm_(.+))")  # a metric's key: its name, and the noise level
KINDS = {"z": "representations z", "w": "classifiers w"}  # the variables that have priors
RELATED = 6  # rows whose relatedness is shown
SHADES = "Blues"  # from 0 to 1

Result = Mapping[str, Any]
Results = Sequence[Result]
Line = tuple[str, str]  # its name in the legend, and a key that distinguishes equal names
Panels = dict[str, dict[Line, Points]]  # a task, or the average -> its lines
Matrices = dict[str, NDArray[Any]]  # a key of KINDS -> (tasks, tasks)


def figures(results: Results, logs: Logs, palette: Palette) -> Iterator[tuple[str, Figure]]:
    """The figures that these results have data for, each with the name of its file."""
    related = relatedness(results)
    if related:
        yield "relatedness", heat_maps(related)
        if logs:
            yield "training-loss", training_loss(logs, palette)
    labelled = by_fraction(results)
    if labelled:
        yield "fractions", accuracies(labelled, "labels for training [%]")
    attacked = by_noise(results)
    if attacked:
        yield "fgsm", noise_levels(attacked)


def relatedness(results: Results) -> dict[str, tuple[list[str], Matrices]]:
    """Tasks and weights A, means over seeds, of the first rows that have any, by their names."""
    found: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        if result.get("relatedness"):
            found[Cell.of(result).name].append(result)
    related = {}
    for name, runs in list(found.items())[:RELATED]:
        every = [run["relatedness"] for run in runs]
        kinds = [kind for kind in KINDS if kind in every[0]]
        means = {kind: np.mean([each[kind] for each in every], axis=0) for kind in kinds}
        related[name] = (runs[0]["tasks"], means)
    return related


def heat_maps(related: Mapping[str, tuple[Sequence[str], Matrices]]) -> Figure:
    """A_ti, the weight of task i's posterior in the prior of task t; a line of panels for each row.

    Source: Variational Multi-Task Learning (submission to ICLR 2021), equation 10, whose weights
    these are.
    """
    figure = Figure(figsize=(8.4, 3.6 * len(related)), layout="compressed")
    panels = figure.subplots(len(related), len(KINDS), squeeze=False)
    for line, (name, (tasks, found)) in zip(panels, related.items(), strict=True):
        for axes, kind in zip(line, KINDS, strict=True):
            if kind in found:
                _heat_map(axes, found[kind], tasks)
                axes.set_title(f"{name}\n{KINDS[kind]}", fontsize="small")
            else:
                axes.set_axis_off()
    shades = ScalarMappable(Normalize(0.0, 1.0), SHADES)
    label = "weight of the other task's posterior"
    figure.colorbar(shades, ax=panels, shrink=1 / len(related), label=label)
    return figure


def training_loss(logs: Logs, palette: Palette) -> Figure:
    """The training loss, a mean over the tasks and the steps of a period.

    Source: Variational Multi-Task Learning (submission to ICLR 2021), Figure 3.
    """
    title = "training loss, mean over tasks"
    figure = curves.curve(logs, palette, lambda row: float(np.mean(row["losses"])), title)
    figure.axes[0].set_yscale("log")
    return figure


def by_fraction(results: Results) -> Panels:
    """Accuracies by percent of labels, a line for each method; empty unless one has several."""
    shares = [result for result in results if "fraction" in result["options"]]
    panels = _gather(
        (_method(each), 100 * each["options"]["fraction"], _accuracies(each, ACCURACY))
        for each in shares
    )
    return panels if any(len(p) > 1 for lines in panels.values() for p in lines.values()) else {}


def by_noise(results: Results) -> Panels:
    """Accuracies by the noise level of FGSM, a line for each row; empty without such figures."""
    return _gather(
        ((_short(each), Cell.of(each).name), level, _accuracies(each, metric))
        for each in results
        for level, metric in _levels(each).items()
    )


def accuracies(panels: Panels, x_label: str) -> Figure:
    """A panel for each domain and one for their average: means over seeds, and their range.

    Source: Variational Multi-Task Learning (submission to ICLR 2021), Figures 2 and 4.
    """
    figure, grid = style.grid(len(panels))
    lines = list(dict.fromkeys(line for found in panels.values() for line in found))
    for axes, (panel, found) in zip(grid, panels.items(), strict=True):
        for line, values in found.items():
            style.mean_and_range(axes, values, lines.index(line), label=line[0], marker="o")
        axes.set_title(panel, fontsize="small")
        axes.set_xlabel(x_label)
    grid[0].set_ylabel("test accuracy [%]")
    style.legend(figure, grid[-1])
    return figure


def noise_levels(panels: Panels) -> Figure:
    """The accuracies by noise level, on a logarithmic axis that includes zero."""
    figure = accuracies(panels, "noise level")
    levels = sorted({x for found in panels.values() for values in found.values() for x in values})
    for axes in figure.axes[: len(panels)]:
        axes.set_xscale("symlog", linthresh=levels[1], linscale=0.4)
        axes.set_xticks(levels, [f"{level:g}" for level in levels], fontsize="x-small")
        axes.minorticks_off()
    return figure


def _heat_map(axes: Axes, weights: NDArray[Any], tasks: Sequence[str]) -> None:
    """A cell with its number for each pair of tasks; none on the diagonal."""
    pairs = ~np.eye(len(tasks), dtype=bool)
    shown = np.ma.masked_array(weights, ~pairs)
    axes.imshow(shown, cmap=SHADES, vmin=0.0, vmax=1.0)
    axes.grid(visible=False)
    for task, other in np.argwhere(pairs):
        value = weights[task, other]
        colour = "white" if value > 0.6 else "black"
        axes.text(other, task, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=8)
    places = range(len(tasks))
    axes.set_xticks(places, tasks, fontsize="x-small", rotation=20, ha="right")
    axes.set_yticks(places, tasks, fontsize="x-small")


def _gather(found: Iterable[tuple[Line, float, Mapping[str, float]]]) -> Panels:
    """The values by panel, line and place; the average's panel is the last."""
    panels: Any = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for line, place, values in found:
        for panel, value in values.items():
            panels[panel][line][place].append(value)
    order = sorted(panels, key=lambda panel: panel == AVERAGE)
    return {panel: {k: dict(v) for k, v in panels[panel].items()} for panel in order}


def _accuracies(result: Result, metric: str) -> dict[str, float]:
    """The known accuracies of tasks in percent, and their average if all are known."""
    every = {task: result["test"].get(f"{task}/{metric}") for task in result["tasks"]}
    known = {task: value for task, value in every.items() if value is not None}
    whole = known and len(known) == len(every)
    return {**known, AVERAGE: float(np.mean(list(known.values())))} if whole else known


def _levels(result: Result) -> dict[float, str]:
    """Noise levels and the names of their metrics; none unless there was an attack."""
    found = [match for key in result["test"] if (match := ATTACKED.fullmatch(key))]
    levels = {float(match[2]): match[1] for match in found}
    return {0.0: ACCURACY, **levels} if any(levels) else {}  # 0 alone is no attack


def _method(result: Result) -> Line:
    """Its name, and its agent and options without the share of labels."""
    options = {k: v for k, v in result["options"].items() if k != "fraction"}
    return _short(result), json.dumps([result["agent"], options], sort_keys=True)


def _short(result: Result) -> str:
    """The row's label up to its last comma, behind which the share of labels stands."""
    label = result.get("label", "")
    return label.rpartition(",")[0] or label or result["agent"]
