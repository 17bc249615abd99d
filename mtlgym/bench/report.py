"""Tables of results: on the terminal, as Markdown, as CSV."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from rich.console import Group
from rich.table import Table

from mtlgym.bench.summary import Row
from mtlgym.presets import presets

ACROSS = 5  # agents side by side on the terminal


def header(rows: Sequence[Row], units: dict[str, str]) -> list[str]:
    """The columns' titles with units."""
    titles = {"delta_m": "Δm [%] ↓", "T": "T ↓"}
    return ["agent", "seeds", *(titles.get(c) or _titled(c, units) for c in _columns(rows))]


def body(rows: Sequence[Row]) -> list[list[str]]:
    """A line of texts for each row."""
    return [
        [
            row.agent + (f" ({row.failed} failed)" if row.failed else ""),
            str(row.seeds),
            *(str(row.figures.get(column, "-")) for column in _columns(rows)),
        ]
        for row in rows
    ]


def terminal(rows: Sequence[Row], results: Sequence[dict[str, Any]]) -> Group:
    """Tables for the terminal: a column an agent, so many at a time as fit."""
    titles, lines = header(rows, _units(results)), body(rows)
    tables = []
    for start in range(0, len(lines), ACROSS):
        part = lines[start : start + ACROSS]
        table = Table(title=None if start else caption(rows, results))
        for index, title in enumerate([titles[0], *(line[0] for line in part)]):
            table.add_column(title, justify="right" if index else "left")
        for index, title in enumerate(titles[1:], start=1):
            table.add_row(title, *(line[index] for line in part))
        tables.append(table)
    return Group(*tables)


def markdown(rows: Sequence[Row], results: Sequence[dict[str, Any]]) -> str:
    """The table as Markdown, with what it was made from."""
    titles = header(rows, _units(results))
    lines = [titles, ["---"] * len(titles), *body(rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{caption(rows, results)}\n\n{table}\n"


def comma_separated(rows: Sequence[Row]) -> str:
    """The table as CSV, a column each for mean and half-width."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = _columns(rows)
    names = [name for column in columns for name in (column, f"{column} ±")]
    writer.writerow(["env", "data", "agent", "seeds", "failed", *names])
    for row in rows:
        figures = [row.figures.get(column) for column in columns]
        values = [x for f in figures for x in ((f.mean, f.half_width) if f else ("", ""))]
        writer.writerow([row.env, row.data, row.agent, row.seeds, row.failed, *values])
    return text.getvalue()


def caption(rows: Sequence[Row], results: Sequence[dict[str, Any]]) -> str:
    """What the figures are of: environment, data, baseline, spread."""
    first = results[0]
    real = presets()[first["env"]].options.get("data") if first["env"] in presets() else None
    data = first["data"] + (
        " stand-in, not comparable with published figures"
        if first["data"] == "embedded" and real != "embedded"
        else ""
    )
    baseline = f"; Δm against {first['baseline']}" if first["baseline"] else ""
    spread = "; mean ± half of the 95 % interval" if max(row.seeds for row in rows) > 1 else ""
    return f"{first['env']} ({data} data), test split{baseline}{spread}"


def _columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(column for row in rows for column in row.figures))


def _units(results: Sequence[dict[str, Any]]) -> dict[str, str]:
    return {key: unit for result in results for key, unit in result["units"].items()}


def _titled(column: str, units: dict[str, str]) -> str:
    return f"{column} [{units[column]}]" if units.get(column) else column
