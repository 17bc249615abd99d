"""Which figures are drawn: those that `mtlgym bench` writes, and those of the page."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from matplotlib.figure import Figure

from mtlgym.report.measures import (
    DELTA,
    GAIN,
    PROBABILITY,
    TIME,
    Aggregate,
    Measures,
    measure_agents,
)
from mtlgym.report.plots import comparisons, curves, domains, routing, style
from mtlgym.report.plots.curves import Logs
from mtlgym.report.plots.style import PageFigure, Palette
from mtlgym.report.sections import Section
from mtlgym.report.statistics import DRAWS
from mtlgym.report.text import counted, in_figure, listed

SCORE = "improvement over the reference [%]"
RANGE = (
    "Means over seeds with their range shaded, drawn as long as at least half of the runs have a "
    "value."
)


def write_figures(section: Section, folder: Path) -> None:
    """Write all figures that the runs have data for as PNG files, for `mtlgym bench`.

    Raises:
        OSError: if a file cannot be written.
    """
    with style.look():
        for name, figure in _bench_figures(section):
            style.write(figure, folder / f"{name}.png")


def _bench_figures(section: Section) -> Iterator[tuple[str, Figure]]:
    """Names of files, and figures."""
    logs, palette = curves.read_logs(section), style.palette_of(list(section.agents))
    if logs:
        yield "learning-curves", curves.learning_curves(section, logs, palette, panels=None)
    if section.kind == "routing":
        yield from routing.figures(section, logs, palette)
        return
    if logs:
        yield "weights", curves.decisions(section, logs, panels=None)
    yield "trade-off", comparisons.trade_off(measure_agents(section), section.reference, palette)
    if curves.final_policies(section):
        yield "policies", curves.policies(section)
    yield from domains.figures(section.results, logs, palette)


Gallery = dict[str, list[PageFigure]]  # a part of the page -> its figures


def gallery(section: Section, found: Measures, palette: Palette) -> Gallery:
    """The page's figures of one environment, by the part of the page."""
    logs = curves.read_logs(section)
    drawn: Gallery = {part: [] for part in PARTS}
    for part in PARTS_OF[section.kind]:
        drawn[part].extend(PARTS[part](section, found, logs, palette))
    return drawn


def _curves(
    section: Section, found: Measures, logs: Logs, palette: Palette
) -> Iterator[PageFigure]:
    if logs:
        tasks, shown = section.tasks, curves.PANELS - 1
        cut = f" The first {shown} of {len(tasks)} tasks are shown." if len(tasks) > shown else ""
        title = "Learning curves: validation and training losses"
        yield _drawn(
            section,
            lambda: curves.learning_curves(section, logs, palette),
            "learning-curves",
            (title, f"{RANGE}{cut}", listed(logs)),
        )


def _decisions(
    section: Section, found: Measures, logs: Logs, palette: Palette
) -> Iterator[PageFigure]:
    chooses = curves.chooses(section)
    if logs:
        cut = "" if len(logs) <= curves.PANELS else f" The first {curves.PANELS} agents are shown."
        parts = " Shares are of equal parts of a run." if chooses else ""
        title = "Task choices" if chooses else "Task weights"
        text = (title, f"{RANGE}{parts}{cut}", listed(logs))
        yield _drawn(section, lambda: curves.decisions(section, logs), "decisions", text)
    names = [in_figure(name) for name in curves.final_policies(section)]
    if names:
        text = ("Policies at the end", "Means over seeds.", listed(names))
        yield _drawn(section, lambda: curves.policies(section), "policies", text)


def _routes(
    section: Section, found: Measures, logs: Logs, palette: Palette
) -> Iterator[PageFigure]:
    routed = routing.routed(section)
    if routed:
        caption = (
            "The share of each task's test samples that went through each block, from white, none, "
            "to black, all; one row per depth. Only the first seed's run is shown, since blocks "
            "have no order to average over."
        )
        text = ("Routing maps", caption, listed(routed))
        yield _drawn(section, lambda: routing.routing_maps(routed), "routes", text)


def _trade_off(
    section: Section, found: Measures, logs: Logs, palette: Palette
) -> Iterator[PageFigure]:
    names = [n for n, each in found.items() if TIME in each and (DELTA in each or GAIN in each)]
    if len(names) > 1:
        quality = "Δm" if any(DELTA in each for each in found.values()) else "Improvement"
        caption = "Means over seeds; bars are 95 % intervals by Student's t."
        yield _drawn(
            section,
            lambda: comparisons.trade_off(found, section.reference, palette),
            "trade-off",
            (f"{quality} and training time", caption, listed(names)),
        )


def _bandit(
    section: Section, found: Measures, logs: Logs, palette: Palette
) -> Iterator[PageFigure]:
    if logs:
        text = ("Shortfall of the mean score from 1", RANGE, listed(logs))
        title = "1 - mean score over the arms"
        yield _drawn(
            section, lambda: curves.curve(logs, palette, curves.score, title), "shortfall", text
        )


def _drawn(
    section: Section, make: Callable[[], Figure], kind: str, text: tuple[str, str, str]
) -> PageFigure:
    """The figure with its title, its caption, and a text that names the agents on it."""
    title, caption, names = text
    alt = f"{title} of {names} in {section.title}."
    return style.page_figure(make, f"{section.slug}-{kind}", title, caption, alt, section.note)


Part = Callable[[Section, Measures, Logs, Palette], Iterator[PageFigure]]
PARTS: Mapping[str, Part] = {
    "curves": _curves,
    "decisions": _decisions,
    "routes": _routes,
    "trade-off": _trade_off,
    "bandit": _bandit,
}
PARTS_OF: Mapping[str, tuple[str, ...]] = {  # kind of environment -> parts of the page
    "training": ("curves", "decisions", "trade-off"),
    "routing": ("curves", "routes", "trade-off"),
    "bandit": ("decisions", "bandit"),
}


def aggregate_figures(found: Aggregate, file: str, palette: Palette) -> list[PageFigure]:
    """Statistics, profiles and probabilities of one block; names of files begin with `file`."""
    names, title, note = listed(found.profiles), found.block.title, found.block.note
    count = len(found.block.sections)
    where = "in one environment" if count == 1 else f"over {counted(count, 'environment')}"
    bars = "Bars are 95 % intervals by stratified bootstrap"
    return [
        style.page_figure(
            lambda: comparisons.forest(found.statistics, palette, SCORE),
            f"{file}-statistics",
            f"Mean, median and interquartile mean {where}",
            f"{bars}, {DRAWS} draws. 0 is the reference; higher is better.",
            f"Mean, median and interquartile mean of the improvement over the reference of {names} "
            f"{where}: {title}. The table has the numbers.",
            note,
        ),
        style.page_figure(
            lambda: comparisons.profiles(found.profiles, palette, SCORE),
            f"{file}-profiles",
            f"Performance profiles {where}",
            "The share of runs whose score is above the threshold; a line that is higher is "
            "better. Bands are pointwise 95 % intervals.",
            f"Performance profiles of {names} {where}: {title}. The share of runs above each "
            "improvement.",
            note,
        ),
        style.page_figure(
            lambda: comparisons.probabilities(
                found.probabilities, palette, f"{PROBABILITY} over the reference"
            ),
            f"{file}-improvement",
            f"Probability of improvement over the reference {where}",
            f"The probability that a run is better than a run of the reference. {bars}; 1/2 is no "
            "difference.",
            f"Probability that a run of {listed(found.probabilities)} is better than one of the "
            f"reference, {where}: {title}. The table has the numbers.",
            note,
        ),
    ]
