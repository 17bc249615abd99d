"""Which pictures a report draws of an environment's runs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mtlgym.bench.runs.cell import Cell
from mtlgym.report.measures import DELTA, GAIN, TIME, Measures
from mtlgym.report.plots import comparisons, curves, domains, routing, style
from mtlgym.report.plots.curves import Logs, Palette
from mtlgym.report.plots.figure_files import Picture, draw
from mtlgym.report.sections import Section
from mtlgym.report.summary import summarise
from mtlgym.report.text import in_picture, listed

Results = Sequence[dict[str, Any]]
Writer = Callable[[Results, style.Logs, Path], None]


def write(results: Results, out: Path, folder: Path) -> None:
    """Draw all that these results of one environment can show.

    Args:
        results: of finished cells, at least one.
        out: the folder that has the cells' folders, and so their logs, in it.
        folder: where the pictures go.
    """
    logs = style.read_logs(out, results)
    tasks = {Cell.of(result).name: result["tasks"] for result in results}
    style.write(style.learning_curves(logs, tasks), folder / "learning-curves.png")
    for each in WRITERS["routing" if "routes" in results[0] else "training"]:
        each(results, logs, folder)


def weights_and_quality(results: Results, logs: style.Logs, folder: Path) -> None:
    """Draw the course of the weights, what quality took how long, and policies at the end."""
    style.write(style.weight_trajectories(logs, results[0]["tasks"]), folder / "weights.png")
    style.write(style.trade_off(summarise(results)), folder / "trade-off.png")
    if any("probabilities" in result for result in results):
        style.write(style.distributions(results), folder / "policies.png")


# By the kind of environment; each leaves out what the results do not tell.
WRITERS: Mapping[str, tuple[Writer, ...]] = {
    "routing": (routing.write,),
    "training": (weights_and_quality, domains.write),
}


RANGE = "Means over seeds with their range shaded, as far as half of the runs got."

Gallery = dict[str, list[Picture]]  # a part of the report -> its pictures
PARTS = ("curves", "decisions", "routes", "trade-off", "bandit")


def gallery(section: Section, found: Measures, palette: Palette) -> Gallery:
    """The pictures that these runs can show, by the part of the report that they are in."""
    logs = curves.read_logs(section)
    drawn: Gallery = {part: [] for part in PARTS}
    for part, make in MAKERS.items():
        if part in PARTS_OF[section.kind]:
            drawn[part].extend(make(section, found, logs, palette))
    return drawn


def _curves(section: Section, found: Measures, logs: Logs, palette: Palette) -> list[Picture]:
    if not logs:
        return []
    tasks, shown = section.tasks, curves.PANELS - 1
    cut = f" The first {shown} of {len(tasks)} tasks are shown." if len(tasks) > shown else ""
    what = "Learning curves: validation and training losses"
    caption = f"{RANGE}{cut}"
    return [
        _drawn(
            section,
            lambda: curves.learning_curves(section, logs, palette),
            "learning-curves",
            (what, caption, listed(logs)),
        )
    ]


def _decisions(section: Section, found: Measures, logs: Logs, palette: Palette) -> list[Picture]:
    made = []
    what = "Task choices" if curves.chooses(section) else "Task weights"
    if logs:
        over = "" if len(logs) <= curves.PANELS else f" The first {curves.PANELS} agents are shown."
        few = " Shares are of stretches of a run." if curves.chooses(section) else ""
        text = (what, f"{RANGE}{few}{over}", listed(logs))
        made.append(_drawn(section, lambda: curves.decisions(section, logs), "decisions", text))
    final = [
        {**run.result, "tuned": {}, "label": in_picture(run.name)}
        for run in section.runs
        if "probabilities" in run.result and run.result["tasks"] == section.tasks
    ]
    if final:
        names = listed(dict.fromkeys(each["label"] for each in final))
        text = ("Policies at the end", "Means over seeds.", names)
        made.append(_drawn(section, lambda: style.distributions(final), "policies", text))
    return made


def _routes(section: Section, found: Measures, logs: Logs, palette: Palette) -> list[Picture]:
    routed = {
        in_picture(name): runs[0].result
        for name, runs in section.agents.items()
        if len(runs[0].result["routes"][0][0]) > 1
    }
    if not routed:
        return []
    caption = (
        "The share of each task's test samples that went through each block, from white, none, to "
        "black, all; a row a depth. The first seed's run: blocks have no order to average over."
    )
    text = ("Routing maps", caption, listed(routed))
    return [_drawn(section, lambda: _plain(routing.routing_maps(routed)), "routes", text)]


def _trade_off(section: Section, found: Measures, logs: Logs, palette: Palette) -> list[Picture]:
    names = [n for n, each in found.items() if TIME in each and (DELTA in each or GAIN in each)]
    if len(names) < 2:
        return []
    quality = "Δm" if any(DELTA in each for each in found.values()) else "Improvement"
    caption = "Means over seeds; bars are 95 % intervals by Student's t."
    return [
        _drawn(
            section,
            lambda: comparisons.trade_off(found, section.reference, palette),
            "trade-off",
            (f"{quality} and training time", caption, listed(names)),
        )
    ]


def _bandit(section: Section, found: Measures, logs: Logs, palette: Palette) -> list[Picture]:
    if not logs:
        return []
    text = ("Shortfall of the mean score from 1", RANGE, listed(logs))
    return [_drawn(section, lambda: curves.shortfall(logs, palette), "shortfall", text)]


def _drawn(
    section: Section, make: Callable[[], Figure], kind: str, text: tuple[str, str, str]
) -> Picture:
    """The picture with its texts: title, caption, and whom it is of."""
    title, caption, names = text
    alt = f"{title} of {names} in {section.title}."
    return draw(make, f"{section.slug}-{kind}", title, caption, alt, section.note)


def _plain(figure: Figure) -> Figure:
    """Without lines of a grid, which would lie on the maps."""
    for axes in figure.axes:
        axes.grid(visible=False)
    return figure


Maker = Callable[[Section, Measures, Logs, Palette], list[Picture]]
MAKERS: Mapping[str, Maker] = {
    "curves": _curves,
    "decisions": _decisions,
    "routes": _routes,
    "trade-off": _trade_off,
    "bandit": _bandit,
}
PARTS_OF: Mapping[str, tuple[str, ...]] = {  # by the kind of environment
    "training": ("curves", "decisions", "trade-off"),
    "routing": ("curves", "routes", "trade-off"),
    "bandit": ("decisions", "bandit"),
}
