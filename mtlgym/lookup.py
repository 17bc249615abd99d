"""Look a name up in a literal table; an unknown one gets a suggestion."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

Value = TypeVar("Value")


def unknown(name: object, known: Iterable[str], kind: str) -> str:
    """The error message for an unknown name, with the nearest known one."""
    names = sorted(known)
    near = get_close_matches(str(name), names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {name!r}.{hint} Known: {', '.join(names) or 'none'}."


def lookup(table: Mapping[str, Value], name: str, kind: str) -> Value:
    """The table's entry of that name.

    Raises:
        ValueError: for a name that is not in the table; suggests the nearest one.
    """
    if not isinstance(name, str) or name not in table:
        raise ValueError(unknown(name, table, kind))
    return table[name]
