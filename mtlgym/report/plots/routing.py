"""Figures of routing: accuracy by epoch, routes, policies, and sweeps over rho or tasks."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtlgym.report.plots import curves, style
from mtlgym.report.plots.curves import Logs
from mtlgym.report.plots.style import Palette, Points
from mtlgym.report.sections import Section
from mtlgym.report.text import in_figure

BLOCK = 7  # the block whose probabilities Figure 10 shows

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Sweep:
    """A figure of one quantity by one property of the runs.

    Attributes:
        file: the name of the figure's file, without an ending.
        x: the property of a result, in the unit that `x_label` states.
        y: the quantity, in the unit that `y_label` states.
        least: the start of the axis of y; None for near the lowest value.
    """

    file: str
    x: Callable[[Result], float]
    x_label: str
    y: Callable[[Result], float | None]
    y_label: str
    least: float | None = None


def tasks(result: Result) -> int:
    """The number of tasks."""
    return len(result["tasks"])


def accuracy(result: Result) -> float | None:
    """The mean over tasks on the test split, in percent; None if it is not known."""
    return result["test"]["score"]


def cost(result: Result) -> float:
    """Seconds of an epoch for each task."""
    return result["seconds"] / (result["epochs"] * tasks(result))


RHO, TASKS, ACCURACY = "rho: weight of the collaboration reward", "tasks", "test accuracy [%]"
# Figures 12, 15 and 13.
SWEEPS = (
    Sweep("rho-sweep", lambda result: result["rho"], RHO, accuracy, ACCURACY),
    Sweep("first-n", tasks, TASKS, accuracy, ACCURACY),
    Sweep("cost", tasks, TASKS, cost, "training time of an epoch by task [s]", least=0.0),
)


def figures(section: Section, logs: Logs, palette: Palette) -> Iterator[tuple[str, Figure]]:
    """The figures that the runs have data for, each with the name of its file.

    There is a sweep where one of its lines has more than one point.
    """
    if logs:
        yield "accuracy-curves", accuracy_curves(logs, palette)
    chosen = routed(section)
    if chosen:
        yield "routes", routing_maps(chosen)
    for each in SWEEPS:
        found = lines(section.results, each)
        if any(len(places) > 1 for places in found.values()):
            yield each.file, sweep(found, each)
    for name, result in chosen.items():
        if "policies" in result:
            yield "policies", policies(name, result)
            break


def routed(section: Section) -> dict[str, Result]:
    """Each agent's result of its first seed, where the network has a choice of blocks."""
    first = {in_figure(name): runs[0].result for name, runs in section.agents.items()}
    return {name: result for name, result in first.items() if _has_choice(result)}


def accuracy_curves(logs: Logs, palette: Palette) -> Figure:
    """The validation accuracy by epoch: the mean over seeds, and their range.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), Figures 4 to 8.
    """
    title = "validation accuracy, mean over tasks [%]"
    return curves.curve(logs, palette, lambda row: 100 * (1 - row["score"]), title)


def routing_maps(results: Mapping[str, Result]) -> Figure:
    """The blocks that each task's test samples went through: a panel for each row of a table.

    A line is a depth; the shade of a cell is the block's share of its task's samples; 1 is black.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), Figure 11.
    """
    figure = Figure(figsize=(12, 1.7 * len(results) + 0.4), layout="constrained")
    panels = figure.subplots(len(results), 1, squeeze=False)[:, 0]
    for axes, (name, result) in zip(panels, results.items(), strict=True):
        shares = np.array(result["routes"])  # (tasks, depths, actions)
        count, depths, actions = shares.shape
        flat = shares.transpose(1, 0, 2).reshape(depths, count * actions)
        axes.imshow(flat, vmin=0.0, vmax=1.0, aspect="auto", cmap="Greys", interpolation="nearest")
        axes.grid(visible=False)
        for task in range(1, count):
            axes.axvline(task * actions - 0.5, color=style.COLOURS[0], linewidth=1.0)
        places = (np.arange(count) + 0.5) * actions - 0.5
        turn = {"rotation": 20, "ha": "right"} if count > 10 else {}
        axes.set_xticks(places, result["tasks"], fontsize="x-small", **turn)
        axes.set_yticks(range(depths))
        axes.set_ylabel("depth")
        axes.set_title(f"{name}: {actions} actions a task", fontsize="small")
    return figure


def policies(name: str, result: Result) -> Figure:
    """The agents' probabilities of the first layer's blocks over the first training samples.

    The first panel has one block's probabilities by all agents; then each agent has a panel with
    those of all blocks.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), Figures 10 and 9.
    """
    found = np.array(result["policies"])  # (updates, agents, actions)
    updates, count, actions = found.shape
    samples = result["batch_size"] * np.arange(1, updates + 1)
    names = result["tasks"] if count == tasks(result) else [f"agent {i}" for i in range(count)]
    figure, panels = style.grid(1 + count)
    block = min(BLOCK, actions - 1)
    for agent in range(count):
        _probabilities(panels[0], samples, found[:, agent, block], names[agent], agent)
        for each in range(actions):
            values = found[:, agent, each]
            _probabilities(panels[1 + agent], samples, values, f"block {each}", each)
        panels[1 + agent].set_title(names[agent], fontsize="small")
    panels[0].set_title(f"block {block}, all agents", fontsize="small")
    panels[0].set_ylabel("probability")
    if count <= len(style.COLOURS) + 2:
        panels[0].legend(fontsize="xx-small", ncols=2)
    style.legend(figure, panels[1])
    figure.suptitle(f"{name}, seed {result['seed']}: depth 0", fontsize="small")
    return figure


def sweep(found: Mapping[str, Points], shown: Sweep) -> Figure:
    """A line for each architecture and agent: the mean over seeds, and their range."""
    figure, axes = style.panel()
    for index, (name, values) in enumerate(found.items()):
        style.mean_and_range(axes, values, index, label=name, marker="o")
    axes.set_xticks(sorted({place for values in found.values() for place in values}))
    axes.set(xlabel=shown.x_label, ylabel=shown.y_label)
    axes.set_ylim(bottom=shown.least)
    style.legend(figure, axes, columns=3)
    return figure


def lines(results: Sequence[Result], shown: Sweep) -> dict[str, Points]:
    """The points of each architecture, and of each agent where it has a choice of blocks."""
    found: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        value, agent = shown.y(result), f", {result['agent']}" if _has_choice(result) else ""
        if value is not None:
            found[result["architecture"] + agent][float(shown.x(result))].append(value)
    return dict(found)


def _probabilities(axes: Axes, samples: Any, values: Any, label: str, index: int) -> None:
    axes.plot(samples, values, label=label, **style.line(index))
    axes.set_xlabel("samples")


def _has_choice(result: Result) -> bool:
    return len(result["routes"][0][0]) > 1
