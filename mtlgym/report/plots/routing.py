"""Pictures of routing: accuracy by epoch, routes, policies, and what changes with rho or tasks."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtlgym.bench.runs.cell import Cell
from mtlgym.report.plots import style
from mtlgym.report.plots import style as points

BLOCK = 7  # whose probabilities Figure 10 shows

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Sweep:
    """A picture of what changes with one property of the runs.

    Attributes:
        file: the picture's name.
        x: the property of a result, in the unit that `x_label` says.
        y: what is drawn against it, in that of `y_label`.
        least: where the axis of y starts; None for near the lowest value.
    """

    file: str
    x: Callable[[Result], float]
    x_label: str
    y: Callable[[Result], float | None]
    y_label: str
    least: float | None = None


def tasks(result: Result) -> int:
    """How many tasks the network learnt."""
    return len(result["tasks"])


def accuracy(result: Result) -> float | None:
    """On the test split, the mean over tasks in percent; None if it is not known."""
    return result["test"]["score"]


def cost(result: Result) -> float:
    """Seconds of an epoch for each task."""
    return result["seconds"] / (result["epochs"] * tasks(result))


RHO, TASKS, ACCURACY = "rho: weight of the collaboration reward", "tasks", "test accuracy [%]"
# Figures 12, 15 and 13.
SWEEPS = (
    Sweep("rho-sweep.png", lambda result: result["rho"], RHO, accuracy, ACCURACY),
    Sweep("first-n.png", tasks, TASKS, accuracy, ACCURACY),
    Sweep("cost.png", tasks, TASKS, cost, "training time of an epoch by task [s]", least=0.0),
)


def write(results: Sequence[Result], logs: style.Logs, folder: Path) -> None:
    """Write what these results can show; a sweep where a line of it has more than one point."""
    style.write(accuracy_curves(logs), folder / "accuracy-curves.png")
    routed = _first_seeds([result for result in results if _has_choice(result)])
    if routed:
        style.write(routing_maps(routed), folder / "routes.png")
    for each in SWEEPS:
        found = lines(results, each)
        if any(len(places) > 1 for places in found.values()):
            style.write(sweep(found, each), folder / each.file)
    for name, result in routed.items():
        if "policies" in result:
            style.write(policies(name, result), folder / "policies.png")
            break


def accuracy_curves(logs: style.Logs) -> Figure:
    """The validation accuracy by epoch: the mean over seeds, and their range.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), Figures 4 to 8.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    title = "validation accuracy, mean over tasks [%]"
    style.curves(axes, logs, lambda name, row: 100 * (1 - row["score"]), title)
    style.legend(figure, axes, columns=3)
    return figure


def routing_maps(results: Mapping[str, Result]) -> Figure:
    """Which blocks each task's test samples went through: a panel a row, a line a depth.

    The shade of a cell is the block's share of its task's samples; 1 is black.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), Figure 11.
    """
    figure = Figure(figsize=(12, 1.7 * len(results) + 0.4), layout="constrained")
    panels = figure.subplots(len(results), 1, squeeze=False)[:, 0]
    for axes, (name, result) in zip(panels, results.items(), strict=True):
        shares = np.array(result["routes"])  # (tasks, depths, actions)
        count, depths, actions = shares.shape
        flat = shares.transpose(1, 0, 2).reshape(depths, count * actions)
        axes.imshow(flat, vmin=0.0, vmax=1.0, aspect="auto", cmap="Greys", interpolation="nearest")
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
    """The agents' probabilities of the first layer's blocks while the first samples are trained on.

    First one block's probabilities by all agents, then all blocks', a panel an agent.

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


def sweep(found: Mapping[str, points.Points], shown: Sweep) -> Figure:
    """A line an architecture and agent: the mean over seeds, and their range."""
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for index, (name, values) in enumerate(found.items()):
        points.draw(axes, values, name, index)
    axes.set_xticks(sorted({place for values in found.values() for place in values}))
    axes.set(xlabel=shown.x_label, ylabel=shown.y_label)
    axes.set_ylim(bottom=shown.least)
    style.legend(figure, axes, columns=3)
    return figure


def lines(results: Sequence[Result], shown: Sweep) -> dict[str, points.Points]:
    """The points by architecture, and by agent where it has a choice."""
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


def _first_seeds(results: Sequence[Result]) -> dict[str, Result]:
    """The result of its first seed by each row's name."""
    found: dict[str, Result] = {}
    for result in results:
        found.setdefault(Cell.of(result).name, result)
    return found
