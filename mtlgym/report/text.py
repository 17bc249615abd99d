"""Text of others, such as agents' labels: made fit for a page, a picture and a spreadsheet."""

from typing import Any

from markupsafe import Markup

from mtlgym.report.summary import Interval

LONGEST = 32  # characters of a name in a picture
SPACE = "\N{NO-BREAK SPACE}"
FORMULAS = ("=", "+", "-", "@")  # what spreadsheets take for the beginning of one


def clean(value: Any) -> Any:
    """The value as text of printable characters; markup of our own as it is."""
    if isinstance(value, Markup):
        return value
    kept = (c if c.isprintable() or c == SPACE else "\N{REPLACEMENT CHARACTER}" for c in str(value))
    return "".join(kept)


def in_picture(name: str) -> str:
    """The name as matplotlib draws it: not as mathematics, not hidden, and not too long."""
    text = clean(name)
    end = LONGEST // 2  # what tells names apart is often there
    short = text if len(text) <= LONGEST else text[: LONGEST - 1 - end] + "…" + text[-end:]
    start = " " if not short or short.startswith("_") else ""  # or legends leave it out
    return start + short.replace("$", r"\$")


def in_spreadsheet(text: str) -> str:
    """The text as a CSV's cell, which no spreadsheet takes for a formula."""
    text = clean(text)
    return f"'{text}" if text.startswith(FORMULAS) else text


def number(value: float) -> str:
    """Four significant digits; a dash for what is not known."""
    return f"{value:.4g}" if value == value else "\N{EN DASH}"


def shown(interval: Interval) -> str:
    """The mean and its interval; 0 for a mean that differs from it by rounding alone."""
    if abs(interval.mean) < 1e-9 * interval.half_width:
        interval = Interval(0.0, interval.half_width)
    return str(interval)


def listed(names: Any) -> str:
    """The names in a row, as a sentence has them."""
    names = [str(name) for name in names]
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)


def counted(number: int, noun: str) -> str:
    """The number with its noun: 1 run, 2 runs."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
