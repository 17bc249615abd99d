"""The tables of the page, and the same numbers as CSV."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mtlgym.report.measures import (
    DELTA,
    GAIN,
    PROBABILITY,
    TIME,
    Aggregate,
    Measure,
    Measures,
    columns,
    gains,
    published,
    regrets,
    titles,
)
from mtlgym.report.sections import Section
from mtlgym.report.statistics import Estimate
from mtlgym.report.text import SPACE, counted, in_spreadsheet, number

NONE = "\N{EN DASH}"
UP, DOWN = f"{SPACE}↑", f"{SPACE}↓"  # behind the title of a column where higher or lower is better


@dataclass(frozen=True)
class Entry:
    """One cell of a table.

    Attributes:
        text: the text of the cell.
        value: the number that the cell is sorted by; None for its text, or for what is missing in
            a column of numbers.
        hint: an addition in small print, empty for none.
    """

    text: str
    value: float | None = None
    hint: str = ""


@dataclass(frozen=True)
class Column:
    """The head of a column.

    Attributes:
        title: its text.
        numeric: whether the column is sorted by numbers.
    """

    title: str
    numeric: bool = True


@dataclass(frozen=True)
class PageTable:
    """A table of the page.

    Attributes:
        title: its caption.
        note: a warning about comparisons that the data do not allow; empty if there is none.
        columns: its heads; the first names the row.
        rows: an entry for each column.
    """

    title: str
    note: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Entry]]


def environment(section: Section, found: Measures) -> PageTable:
    """A row for each agent, the best Delta_m or improvement first, with all test metrics."""
    keys, paper = columns(found), published(section)
    heads = [Column("agent", numeric=False), Column("runs"), Column("failed")]
    named = _titles_with_arrows(section, keys)
    in_paper = {key for figures in paper.values() for key in figures}
    for key in keys:
        heads.append(Column(named[key]))
        if key in in_paper:
            heads.append(Column(f"published {named[key]}"))
    rows = []
    for name in sorted(found, key=lambda name: _order(found[name])):
        runs = section.agents[name]
        failed = sum(bool(run.result["failure"]) for run in runs)
        row = [Entry(name), _count(len(runs)), _count(failed)]
        for key in keys:
            row.append(_mean(found[name].get(key), len(runs)))
            if key in in_paper:
                figure = paper.get(name, {}).get(key)
                row.append(Entry(NONE) if figure is None else Entry(f"{figure:g}", figure))
        rows.append(row)
    split = "At the end of a run" if section.kind == "bandit" else "Test split"
    return PageTable(f"{split}, {section.title}", section.note, heads, rows)


def aggregates(found: Aggregate) -> PageTable:
    """A row for each agent: the statistics and the probability of improvement, with intervals."""
    heads = [Column("agent", numeric=False), Column("runs")]
    heads += [Column(f"{title} [%]{UP}") for title in found.statistics]
    heads += [Column(f"{PROBABILITY}{UP}")]
    rows = []
    for name in found.profiles:
        row = [Entry(name), _count(sum(len(each) for each in found.block.scores[name]))]
        row += [_estimate(statistic[name]) for statistic in found.statistics.values()]
        probability = found.probabilities.get(name)
        row.append(_estimate(probability) if probability else Entry(NONE, hint="the reference"))
        rows.append(row)
    title = f"Improvement over the reference in {found.block.title}"
    return PageTable(title, found.block.note, heads, rows)


def bandit(section: Section) -> PageTable:
    """A row for each agent: the regret if an oracle was run, and 1 minus the final mean score."""
    known = regrets(section)
    heads = [Column("agent", numeric=False), Column("runs")]
    heads += [Column(f"regret{DOWN}")] if known else []
    heads += [Column(f"shortfall{DOWN}")]
    rows = []
    for name, runs in section.agents.items():
        scores = [run.result["test"]["score"] for run in runs]
        figures = [known[name]] if known else []
        figures.append([1 - score for score in scores if score is not None])
        entries = [_mean(Measure.of(each) if each else None, len(runs)) for each in figures]
        rows.append([Entry(name), _count(len(runs)), *entries])
    rows.sort(key=lambda row: (row[2].value is None, row[2].value))
    title = f"Bandits' regret and shortfall, {section.title}"
    return PageTable(title, section.note, heads, rows)


def tuning(sections: Sequence[Section]) -> PageTable:
    """A row for each agent and environment: how its settings were chosen."""
    names = ("agent", "environment", "tuned", "chosen settings", "chosen by")
    heads = [*(Column(name, numeric=False) for name in names), Column("trials")]
    rows = []
    for section in sections:
        for name, runs in section.agents.items():
            tuned = runs[0].result.get("tuned")
            row = [Entry(name), Entry(section.title)]
            if tuned:
                values = tuned["settings"].items()
                settings = ", ".join(f"{key} = {_value(value)}" for key, value in values)
                row += [Entry("tuned"), Entry(settings or NONE), Entry(tuned["by"])]
                row.append(_count(tuned["trials"]))
            else:
                row += [Entry("untuned"), Entry("defaults, or as given"), Entry(NONE), _count(0)]
            rows.append(row)
    note = next((section.note for section in sections if section.note), "")
    return PageTable("How settings were chosen", note, heads, rows)


def _titles_with_arrows(section: Section, keys: Sequence[str]) -> dict[str, str]:
    higher: dict[str, bool] = {}
    for result in section.results:
        higher |= result["higher_is_better"]
    higher |= {DELTA: False, TIME: False, GAIN: True}
    arrows = {True: UP, False: DOWN, None: ""}
    return {k: title + arrows[higher.get(k)] for k, title in titles(section, keys).items()}


def _mean(measure: Measure | None, runs: int) -> Entry:
    """The mean and its interval, with a hint where some runs lack the figure."""
    if measure is None:
        return Entry(NONE)
    hint = f"{measure.runs} of {counted(runs, 'run')}" if measure.runs < runs else ""
    return Entry(str(measure), measure.mean, hint)


def _estimate(found: Estimate) -> Entry:
    """The value with the ends of its interval; 0 for rounding errors."""
    value = 0.0 if abs(found.value) < 1e-9 * (found.high - found.low) else found.value
    ends = f"{found.low:.3g} to {found.high:.3g}"
    return Entry(number(value), value, ends if found.low == found.low else "")


def _count(value: int) -> Entry:
    return Entry(str(value), float(value))


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _order(figures: Mapping[str, Measure]) -> tuple[float, float]:
    """Agents with a Delta_m first, the lowest of them on top, then the largest improvement."""
    nothing = Measure(float("inf"), 0.0, 0)
    gain = figures[GAIN].mean if GAIN in figures else -nothing.mean
    return figures.get(DELTA, nothing).mean, -gain


Line = Sequence[object]


def runs_csv(sections: Sequence[Section]) -> str:
    """A row for each run: its settings, time and failure, and every metric of the test split."""
    keys = list(dict.fromkeys(k for each in sections for r in each.results for k in r["test"]))
    start = ["env", "data", "note", "stand in for", "name", "agent", "seed", "tuned trials"]
    plain = ["failure", "steps", "seconds", DELTA]
    lines = []
    for section in sections:
        improved = [gain for each in gains(section).values() for gain in each]
        for run, gain in zip(section.runs, improved, strict=True):
            result = run.result
            trials = result["tuned"]["trials"] if result.get("tuned") else 0
            line = [*_section_cells(section), run.name, result["agent"], result["seed"], trials]
            line += [*(result[key] for key in plain), gain]
            lines.append(line + [result["test"].get(key) for key in keys])
    return csv_text([*start, *plain, GAIN, *keys], lines)


def agents_csv(sections: Sequence[Section], found: Sequence[Measures]) -> str:
    """A row for each agent and environment: means, 95 % intervals, numbers of runs."""
    keys = list(dict.fromkeys(key for each in found for key in columns(each)))
    start = ["env", "data", "note", "stand in for", "name", "reference", "runs", "failed"]
    heads = [f"{key}{end}" for key in keys for end in ("", " low", " high", " runs")]
    lines = []
    for section, measures in zip(sections, found, strict=True):
        for name, each in section.agents.items():
            failed = sum(bool(run.result["failure"]) for run in each)
            line = [*_section_cells(section), name, section.reference, len(each), failed]
            for key in keys:
                measure = measures[name].get(key)
                if measure is None:
                    line += ["", "", "", 0]
                    continue
                middle, width = measure.mean, measure.half_width
                line += [middle, middle - width, middle + width, measure.runs]
            lines.append(line)
    return csv_text([*start, *heads], lines)


def aggregates_csv(found: Sequence[Aggregate]) -> str:
    """A row for each agent and statistic over environments, with its 95 % interval."""
    heads = ["environments", "note", "name", "statistic", "value", "low", "high", "runs"]
    lines: list[Line] = []
    for each in found:
        start = [" ".join(section.slug for section in each.block.sections), each.block.note]
        for title, estimates in {**each.statistics, PROBABILITY: each.probabilities}.items():
            for name, value in estimates.items():
                count = sum(len(runs) for runs in each.block.scores[name])
                lines.append([*start, name, title, value.value, value.low, value.high, count])
    return csv_text(heads, lines)


def _section_cells(section: Section) -> list[object]:
    return [section.env, section.data, section.note, section.stand_in_for]


def csv_text(heads: Line, lines: Iterable[Line], nan: str = "") -> str:
    """The lines below their heads as CSV.

    Args:
        heads: titles of the columns.
        lines: cells; None gives an empty one.
        nan: the text of a NaN.
    """

    def cell(value: object) -> object:
        if isinstance(value, str):
            return in_spreadsheet(value)
        return "" if value is None else nan if value != value else value

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([cell(value) for value in line] for line in (heads, *lines))
    return text.getvalue()
