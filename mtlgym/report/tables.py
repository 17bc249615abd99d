"""The report's tables, as texts beside the numbers that they are sorted by."""

from collections.abc import Sequence
from dataclasses import dataclass

from mtlgym.report.aggregates import Aggregate
from mtlgym.report.measures import Measure, Measures, columns, regrets, titles
from mtlgym.report.sections import Section
from mtlgym.report.statistics import Estimate
from mtlgym.report.text import counted, number, shown

NONE = "\N{EN DASH}"


@dataclass(frozen=True)
class Entry:
    """One cell of a table.

    Attributes:
        text: what is shown.
        value: what it is sorted by, None for its text, or for what is missing in a column of
            numbers.
        hint: what is added in small print, empty for nothing.
    """

    text: str
    value: float | None = None
    hint: str = ""


@dataclass(frozen=True)
class Column:
    """The head of a column.

    Attributes:
        title: what is shown.
        numeric: whether it is sorted by numbers.
    """

    title: str
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes:
        title: its caption.
        note: what its figures must not be compared with; empty for nothing.
        columns: its heads; the first names the row.
        rows: an entry a column.
    """

    title: str
    note: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Entry]]


def environment(section: Section, found: Measures) -> Table:
    """A row an agent, the best Delta_m or improvement first, with all metrics of the test split."""
    keys = columns(found)
    heads = [Column("agent", numeric=False), Column("runs"), Column("failed")]
    named = titles(section, keys)
    theirs = [key for key in keys if any(_published(each, key) for each in found.values())]
    for key in keys:
        heads.append(Column(named[key]))
        if key in theirs:
            heads.append(Column(f"published {named[key]}"))
    rows = []
    for name in sorted(found, key=lambda name: _order(found[name])):
        runs = section.agents[name]
        failed = sum(bool(run.result["failure"]) for run in runs)
        row = [Entry(name), _count(len(runs)), _count(failed)]
        for key in keys:
            measure = found[name].get(key)
            row.append(_mean(measure, len(runs)))
            if key in theirs:
                figure = measure.published if measure else None
                row.append(Entry(NONE) if figure is None else Entry(f"{figure:g}", figure))
        rows.append(row)
    split = "At the end of a run" if section.kind == "bandit" else "Test split"
    return Table(f"{split}, {section.title}", section.note, heads, rows)


def aggregates(found: Aggregate) -> Table:
    """A row an agent: the statistics and the probability of improvement, with intervals."""
    heads = [Column("agent", numeric=False), Column("runs")]
    heads += [Column(f"{title} [%]\N{NO-BREAK SPACE}↑") for title in found.statistics]
    heads += [Column("probability of improvement\N{NO-BREAK SPACE}↑")]
    rows = []
    for name in found.profiles:
        runs = sum(len(each) for each in found.block.scores[name])
        row = [Entry(name), _count(runs)]
        row += [_estimate(statistic[name]) for statistic in found.statistics.values()]
        probability = found.probabilities.get(name)
        row.append(_estimate(probability) if probability else Entry(NONE, hint="the reference"))
        rows.append(row)
    return Table(f"Improvement over the reference in {found.title}", found.block.note, heads, rows)


def bandit(section: Section) -> Table:
    """A row an agent: the regret where an oracle ran, and what the final mean score lacks of 1."""
    known = regrets(section)
    heads = [Column("agent", numeric=False), Column("runs")]
    heads += [Column("regret\N{NO-BREAK SPACE}↓")] if known else []
    heads += [Column("shortfall\N{NO-BREAK SPACE}↓")]
    rows = []
    for name, runs in section.agents.items():
        scores = [run.result["test"]["score"] for run in runs]
        figures = [known[name]] if known else []
        figures.append([1 - score for score in scores if score is not None])
        measures = [Measure.of(values) if values else None for values in figures]
        entries = [_mean(measure, len(runs)) for measure in measures]
        rows.append([Entry(name), _count(len(runs)), *entries])
    rows.sort(key=lambda row: (row[2].value is None, row[2].value))
    return Table(f"Bandits' regret and shortfall, {section.title}", section.note, heads, rows)


def tuning(sections: Sequence[Section]) -> Table:
    """A row an agent and environment: how its settings were chosen."""
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
    return Table("How settings were chosen", note, heads, rows)


def _mean(measure: Measure | None, runs: int) -> Entry:
    """The mean and its interval; says so where some runs lack the figure."""
    if measure is None:
        return Entry(NONE)
    few = measure.runs < runs
    hint = f"{measure.runs} of {counted(runs, 'run')}" if few else ""
    return Entry(shown(measure.interval), measure.interval.mean, hint)


def _estimate(found: Estimate) -> Entry:
    """The value with its interval's ends."""
    value = 0.0 if abs(found.value) < 1e-9 * (found.high - found.low) else found.value
    ends = f"{found.low:.3g} to {found.high:.3g}"
    return Entry(number(value), value, ends if found.low == found.low else "")


def _count(value: int) -> Entry:
    return Entry(str(value), float(value))


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _published(figures: dict[str, Measure], key: str) -> bool:
    return key in figures and figures[key].published is not None


def _order(figures: dict[str, Measure]) -> tuple[float, float]:
    """Agents with a Delta_m first, the lowest of them on top, then the largest improvement."""
    ends = (figures[key].interval.mean if key in figures else None for key in ("delta_m", "gain"))
    delta, gain = ends
    inf = float("inf")
    return (inf if delta is None else delta, inf if gain is None else -gain)
