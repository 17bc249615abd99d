"""Texts for the page, figures and spreadsheets; names that users chose may have any characters."""

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

LONGEST = 32  # characters of a name in a figure
SPACE = "\N{NO-BREAK SPACE}"
FORMULAS = ("=", "+", "-", "@")  # characters at which a formula of a spreadsheet may begin


def clean(value: Any) -> Any:
    """The value as text of printable characters; `Markup` is unchanged."""
    if isinstance(value, Markup):
        return value
    kept = (c if c.isprintable() or c == SPACE else "\N{REPLACEMENT CHARACTER}" for c in str(value))
    return "".join(kept)


def in_figure(name: str) -> str:
    """The name, shortened, as matplotlib draws it: never as mathematics, and in every legend."""
    text = clean(name)
    end = LONGEST // 2  # names often differ at the end
    short = text if len(text) <= LONGEST else text[: LONGEST - 1 - end] + "…" + text[-end:]
    start = " " if not short or short.startswith("_") else ""  # legends leave such names out
    return start + short.replace("$", r"\$")


def in_spreadsheet(text: str) -> str:
    """The text as a cell of a CSV file, which no spreadsheet reads as a formula."""
    text = clean(text)
    return f"'{text}" if text.startswith(FORMULAS) else text


def number(value: float) -> str:
    """Four significant digits; a dash for NaN."""
    return f"{value:.4g}" if value == value else "\N{EN DASH}"


def listed(names: Iterable[Any]) -> str:
    """The names as a sentence lists them: "a, b and c"."""
    texts = [str(name) for name in names]
    return ", ".join(texts[:-1]) + " and " + texts[-1] if len(texts) > 1 else "".join(texts)


def counted(count: int, noun: str) -> str:
    """The number with its noun: "1 run", "2 runs"."""
    return f"{count} {noun}" + ("" if count == 1 else "s")
