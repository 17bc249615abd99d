"""What `mtlgym bench` writes and prints of one environment's runs: results, tables and figures."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table

from mtlgym.bench.runs.cell import Cell
from mtlgym.bench.runs.results import Finished
from mtlgym.io.atomic import write_atomically
from mtlgym.presets.environments import presets
from mtlgym.presets.published import TablePreset
from mtlgym.report.measures import (
    DELTA,
    GAIN,
    TIME,
    Measure,
    Measures,
    Published,
    columns,
    measure_agents,
    titles,
)
from mtlgym.report.sections import Section
from mtlgym.report.tables import csv_text

RESULTS = "results.jsonl"
ACROSS = 5  # agents side by side on the terminal
NONE = "-"

Results = Sequence[dict[str, Any]]


def write_files(
    results: Results, out: Path, folder: Path, preset: TablePreset | None = None
) -> None:
    """Write one result per line, the tables and the figures of one environment's runs.

    Args:
        results: results of the runs, at least one.
        out: the folder that contains the folders of the runs, and so their logs.
        folder: the folder to write to.
        preset: the table preset that the runs are rows of.

    Raises:
        OSError: if a file cannot be written.
    """
    from mtlgym.report.plots.gallery import write_figures

    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(result) + "\n" for result in results)
    write_atomically(folder / RESULTS, lines.encode())
    table = RunTable.of(results, preset)
    write_atomically(folder / "table.md", table.markdown().encode())
    write_atomically(folder / "table.csv", table.csv().encode())
    write_figures(section_of(results, out), folder)


def section_of(results: Results, out: Path = Path()) -> Section:
    """The runs of these results, whose folders are in `out`."""
    runs = [(result, Cell.of(result)) for result in results]
    return Section.of([Finished(result, cell.folder(out), cell.name) for result, cell in runs])


@dataclass(frozen=True, eq=False)
class RunTable:
    """The table of one environment's runs: a row for each agent or row of a published table.

    Attributes:
        section: the runs.
        found: the figures of each row, in the order of the rows.
        published: name of a row -> column -> the paper's figure.
        caption: the table's name, environment, data, baseline and spread.
    """

    section: Section
    found: Measures
    published: Published
    caption: str

    @classmethod
    def of(cls, results: Results, preset: TablePreset | None = None) -> "RunTable":
        """The table of these results, the lowest mean Delta_m first, else in their order.

        It has no improvement over the reference, and T only where the reference is equal weights.
        A metric that one of an agent's runs lacks is NaN.
        """
        section = section_of(results)
        found = {
            name: _figures(section, name, each) for name, each in measure_agents(section).items()
        }
        first = list(dict.fromkeys(Cell.of(result).name for result in results))
        places = {name: place for place, name in enumerate(first)}

        def order(name: str) -> tuple[float, int]:
            delta = found[name].get(DELTA)
            return delta.mean if delta else math.inf, places.get(name, len(places))

        names = sorted(found, key=order)
        published = preset.published(results) if preset else {}
        caption = _caption(section, results, preset)
        return cls(section, {name: found[name] for name in names}, published, caption)

    @property
    def columns(self) -> list[tuple[str, bool]]:
        """Each column's key, and whether it has the paper's figures instead of ours."""
        in_paper = {key for figures in self.published.values() for key in figures}
        keys = columns(self.found)
        return [(k, paper) for k in keys for paper in (False, True)[: 1 + (k in in_paper)]]

    @property
    def labelled(self) -> bool:
        """Whether the rows are those of a published table."""
        return bool(self._first(next(iter(self.found))).get("label"))

    def markdown(self) -> str:
        """The table as Markdown, below its caption."""
        heads, lines = self._texts()
        table = "\n".join(
            f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *lines)
        )
        return f"{self.caption}\n\n{table}\n"

    def terminal(self) -> Group:
        """Tables for the terminal: a column for each agent, as many at a time as fit."""
        heads, lines = self._texts()
        tables = []
        for start in range(0, len(lines), ACROSS):
            part = lines[start : start + ACROSS]
            table = Table(title=None if start else self.caption)
            for index, title in enumerate([heads[0], *(line[0] for line in part)]):
                table.add_column(title, justify="right" if index else "left", overflow="fold")
            for index, title in enumerate(heads[1:], start=1):
                table.add_row(title, *(line[index] for line in part))
            tables.append(table)
        return Group(*tables)

    def csv(self) -> str:
        """The table as CSV: mean and half-width of each figure, then the paper's figures."""
        ours = [key for key, paper in self.columns if not paper]
        theirs = [key for key, paper in self.columns if paper]
        labels = ["label"] if self.labelled else []
        heads = ["env", "data", *labels, "agent", "seeds", "failed"]
        heads += [title for key in ours for title in (key, f"{key} ±")]
        heads += [f"published {key}" for key in theirs]
        lines = []
        for name, figures in self.found.items():
            first, runs, failed = (
                self._first(name),
                len(self.section.agents[name]),
                self._failed(name),
            )
            agent = first.get("tuned", first)["agent"]
            line = [first["env"], first["data"], *(first.get(key, "") for key in labels)]
            line += [agent, runs, failed]
            for key in ours:
                measure = figures.get(key)
                line += [measure.mean, measure.half_width] if measure else [None, None]
            for key in theirs:
                figure = self.published.get(name, {}).get(key)
                line.append(int(figure) if figure is not None and figure == int(figure) else figure)
            lines.append(line)
        return csv_text(heads, lines, nan="nan")

    def _texts(self) -> tuple[list[str], list[list[str]]]:
        """Titles of the columns with units, and a line of texts for each row."""
        named = titles(self.section, columns(self.found))
        heads = ["method" if self.labelled else "agent", "seeds"]
        for key, paper in self.columns:
            title = named[key] + (" ↓" if key in (DELTA, TIME) else "")
            heads.append(f"published {title}" if paper else title)
        lines = []
        for name, figures in self.found.items():
            failed = self._failed(name)
            line = [name + (f" ({failed} failed)" if failed else "")]
            line.append(str(len(self.section.agents[name])))
            for key, paper in self.columns:
                figure = self.published.get(name, {}).get(key) if paper else figures.get(key)
                line.append(NONE if figure is None else f"{figure:g}" if paper else str(figure))
            lines.append(line)
        return heads, lines

    def _first(self, name: str) -> Mapping[str, Any]:
        return self.section.agents[name][0].result

    def _failed(self, name: str) -> int:
        return sum(bool(run.result["failure"]) for run in self.section.agents[name])


def _figures(section: Section, name: str, figures: Mapping[str, Measure]) -> dict[str, Measure]:
    """Those of an agent's figures that the table has; NaN for metrics that a run lacks."""
    hidden = (GAIN,) if section.has_equal_weights else (GAIN, TIME)
    tests = [run.result["test"] for run in section.agents[name]]
    lacking = {key for test in tests for key, value in test.items() if value is None}
    unknown = Measure(math.nan, math.nan, 0)
    shown = {key: each for key, each in figures.items() if key not in hidden}
    keys = dict.fromkeys([*(key for key in (DELTA, TIME) if key in shown), *tests[0], *shown])
    return {k: unknown if k in lacking else shown[k] for k in keys if k in lacking or k in shown}


def _caption(section: Section, results: Results, preset: TablePreset | None) -> str:
    first = results[0]
    table = f"{preset.name}: {preset.title}. " if preset else ""
    stands_in = preset and preset.has_figures and first.get("stand_in_for")
    theirs = f" in {preset.file}" if preset and stands_in else ""
    baseline = f"; Δm against {first['baseline']}" if first["baseline"] else ""
    spread = "; mean ± half of the 95 % interval" if section.seeds > 1 else ""
    split = "at the end" if section.kind == "bandit" else "test split"
    changed = preset.changed(first) if preset else {}
    options = "".join(f"; {key} = {json.dumps(value)}" for key, value in changed.items())
    return f"{table}{first['env']} ({_data(first)}{theirs}), {split}{baseline}{spread}{options}"


def _data(result: Mapping[str, Any]) -> str:
    """The kind of data, and the comparisons that it does not allow."""
    stand_in_for = result.get("stand_in_for")
    if stand_in_for:
        what = f"a stand-in for {stand_in_for}, not comparable with published figures"
        return f"{result['data']} data: {what}"
    known = presets().get(result["env"])
    own = known.options.get("data") if known else None
    if result["data"] == "embedded" and own != "embedded":
        return "embedded stand-in data, not comparable with published figures"
    return f"{result['data']} data"
