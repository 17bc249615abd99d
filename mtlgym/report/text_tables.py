"""Tables of results: on the terminal, as Markdown, as CSV."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table

from mtlgym.presets.environments import presets
from mtlgym.presets.published import TablePreset
from mtlgym.report.summary import Row

ACROSS = 5  # agents side by side on the terminal

Results = Sequence[dict[str, Any]]
Published = Mapping[str, Mapping[str, float]]  # label -> column -> the paper's figure


def header(rows: Sequence[Row], units: dict[str, str], published: Published) -> list[str]:
    """The columns' titles with units; a published figure's column is beside ours."""
    titles = ["method" if rows[0].label else "agent", "seeds"]
    for column in _columns(rows):
        title = {"delta_m": "Δm [%] ↓", "T": "T ↓"}.get(column) or _titled(column, units)
        titles += [title, *([f"published {title}"] if _is_in(published, column) else [])]
    return titles


def body(rows: Sequence[Row], published: Published) -> list[list[str]]:
    """A line of texts for each row."""
    lines = []
    for row in rows:
        line = [row.name + (f" ({row.failed} failed)" if row.failed else ""), str(row.seeds)]
        for column in _columns(rows):
            line.append(str(row.figures.get(column, "-")))
            if _is_in(published, column):
                line.append(_published(published, row, column, missing="-"))
        lines.append(line)
    return lines


def terminal(rows: Sequence[Row], results: Results, preset: TablePreset | None = None) -> Group:
    """Tables for the terminal: a column an agent, so many at a time as fit."""
    published = preset.published(results) if preset else {}
    titles, lines = header(rows, _units(results), published), body(rows, published)
    tables = []
    for start in range(0, len(lines), ACROSS):
        part = lines[start : start + ACROSS]
        table = Table(title=None if start else caption(rows, results, preset))
        for index, title in enumerate([titles[0], *(line[0] for line in part)]):
            table.add_column(title, justify="right" if index else "left", overflow="fold")
        for index, title in enumerate(titles[1:], start=1):
            table.add_row(title, *(line[index] for line in part))
        tables.append(table)
    return Group(*tables)


def markdown(rows: Sequence[Row], results: Results, preset: TablePreset | None = None) -> str:
    """The table as Markdown, with what it was made from."""
    published = preset.published(results) if preset else {}
    titles = header(rows, _units(results), published)
    lines = [titles, ["---"] * len(titles), *body(rows, published)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{caption(rows, results, preset)}\n\n{table}\n"


def comma_separated(rows: Sequence[Row], published: Published | None = None) -> str:
    """The table as CSV, a column each for mean, half-width and, where there is one, the paper's."""
    published = published or {}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns, labelled = _columns(rows), bool(rows[0].label)
    theirs = [column for column in columns if _is_in(published, column)]
    names = [name for column in columns for name in (column, f"{column} ±")]
    names += [f"published {column}" for column in theirs]
    start = ["env", "data", *(["label"] if labelled else []), "agent", "seeds", "failed"]
    writer.writerow([*start, *names])
    for row in rows:
        figures = [row.figures.get(column) for column in columns]
        values = [x for f in figures for x in ((f.mean, f.half_width) if f else ("", ""))]
        values += [_published(published, row, column, missing="") for column in theirs]
        names = [row.label, row.agent] if labelled else [row.agent]
        writer.writerow([row.env, row.data, *names, row.seeds, row.failed, *values])
    return text.getvalue()


def caption(rows: Sequence[Row], results: Results, preset: TablePreset | None = None) -> str:
    """What the figures are of: published table, environment, data, baseline, spread."""
    first = results[0]
    table = f"{preset.name}: {preset.title}. " if preset else ""
    stands_in = preset and preset.has_figures and first.get("stand_in_for")
    theirs = f" in {preset.file}" if preset and stands_in else ""
    baseline = f"; Δm against {first['baseline']}" if first["baseline"] else ""
    spread = "; mean ± half of the 95 % interval" if max(row.seeds for row in rows) > 1 else ""
    split = "at the end" if first["data"] == "synthetic" else "test split"
    changed = preset.changed(first) if preset else {}
    given = "".join(f"; {key} = {json.dumps(value)}" for key, value in changed.items())
    return f"{table}{first['env']} ({_data(first)}{theirs}), {split}{baseline}{spread}{given}"


def _data(result: Mapping[str, Any]) -> str:
    """Which data the result is of, and what it must not be compared with."""
    stand_in_for = result.get("stand_in_for")
    if stand_in_for:
        what = f"a stand-in for {stand_in_for}, not comparable with published figures"
        return f"{result['data']} data: {what}"
    known = presets().get(result["env"])
    own = known.options.get("data") if known else None
    if result["data"] == "embedded" and own != "embedded":
        return "embedded stand-in data, not comparable with published figures"
    return f"{result['data']} data"


def _is_in(published: Published, column: str) -> bool:
    return any(column in figures for figures in published.values())


def _published(published: Published, row: Row, column: str, missing: str) -> str:
    figure = published.get(row.label, {}).get(column)
    return missing if figure is None else f"{figure:g}"


def _columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(column for row in rows for column in row.figures))


def _units(results: Sequence[dict[str, Any]]) -> dict[str, str]:
    return {key: unit for result in results for key, unit in result["units"].items()}


def _titled(column: str, units: dict[str, str]) -> str:
    return f"{column} [{units[column]}]" if units.get(column) else column
