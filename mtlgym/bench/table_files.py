"""The table presets by name, each read from a file of its own."""

import dataclasses
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, TypeVar

from mtlgym import checks
from mtlgym.bench.tables import Row, TablePreset
from mtlgym.lookup import lookup, unknown

FIGURES = ("delta_m", "T", "score")
METRICS = ("accuracy",)  # of a task: `task/accuracy`
Kind = TypeVar("Kind")


@cache
def tables() -> dict[str, TablePreset]:
    """All table presets by name; ids and agents are not looked up.

    Raises:
        ValueError: for a file that is no table preset; names it.
    """
    return {each.name: each for each in read_folder("tables", TablePreset)}


def read_folder(name: str, kind: type[Kind]) -> list[Kind]:
    """All presets of that kind, which are the files of a folder of `envs_config`.

    Raises:
        ValueError: for a file that is no such preset; names it.
    """
    folder = files("mtlgym.envs_config") / name
    paths = sorted(folder.iterdir(), key=lambda path: path.name)
    return [read_preset(path, kind) for path in paths if path.name.endswith(".toml")]


def table(name: str) -> TablePreset:
    """The table preset of that name, checked.

    Raises:
        ValueError: for a name that has none, with the nearest; for an unknown id or agent in it.
    """
    found = lookup(tables(), name, "preset")
    found.check()
    return found


def read(path: Traversable) -> TablePreset:
    """The table preset in a file; ids and agents are not looked up yet.

    Raises:
        ValueError: for what is not understood; names the file, and the row.
    """
    return read_preset(path, TablePreset)


def read_preset(path: Traversable, kind: type[Kind]) -> Kind:
    """The preset of that kind in a file, which has `rows`.

    Raises:
        ValueError: for what is not understood; names the file, and the row.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content.get("rows"), list) or not content["rows"]:
            raise ValueError("`rows` must be at least one [[rows]]")
        rows = [_row(each) for each in content["rows"]]
        return _make(kind, {**content, "rows": rows}, file=path.name)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def _row(given: Any) -> Row:
    if not isinstance(given, Mapping):
        raise ValueError(f"`rows` must be tables, not {given!r}")
    try:
        return _make(Row, given)
    except ValueError as error:
        raise ValueError(f"row {given.get('label')!r}: {error}") from error


def _make(kind: type[Kind], given: Mapping[str, Any], **apart: Any) -> Kind:
    """The dataclass with these values; `apart` is not for the file to say."""
    known = dataclasses.fields(kind)  # type: ignore[arg-type]
    fields = {each.name: each for each in known if each.name not in apart}
    for key, value in given.items():
        if key not in fields:
            raise ValueError(unknown(key, fields, "key"))
        VALUES.get(key, _text)(key, value)
    for name, each in fields.items():
        if name not in given and each.default is each.default_factory is dataclasses.MISSING:
            raise ValueError(f"`{name}` is missing")
    return kind(**given, **apart)


def _text(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"`{name}` must be a text, not {value!r}")


def _options(name: str, value: Any) -> None:
    if not isinstance(value, Mapping) or "data" in value:
        raise ValueError(f"`{name}` must be a table without `data`, not {value!r}")


def _seeds(name: str, value: Any) -> None:
    if not isinstance(value, list) or not value:
        raise ValueError(f"`{name}` must be a list of at least one seed, not {value!r}")
    for seed in value:
        checks.integer(name, seed, least=0)


def _figures(name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(f"`{name}` must be a table, not {value!r}")
    for figure, number in value.items():
        task, slash, metric = figure.partition("/")
        known, key = (METRICS, metric) if task and slash else (FIGURES, figure)
        if key not in known:
            raise ValueError(f"`{name}.{figure}`: {unknown(key, known, 'figure')}")
        checks.real(f"{name}.{figure}", number)


# How the value of a key is checked; all others are texts.
VALUES: dict[str, Callable[[str, Any], None]] = {
    "options": _options,
    "needs": _options,
    "oracles": lambda name, value: checks.integer(name, value, least=1),
    "published": _figures,
    "real_options": _options,
    "rows": lambda name, value: None,  # they are made already
    "seeds": _seeds,
}
