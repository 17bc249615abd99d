"""Table presets: published tables, with a row for each of their methods."""

import dataclasses
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, TypeVar

from mtlgym import agents, checks
from mtlgym.io.names import folder_name
from mtlgym.lookup import lookup, unknown
from mtlgym.presets.environments import preset

# Options that are no part of a protocol.
HARDWARE = ("channels_last", "compile", "device", "fused")


@dataclass(frozen=True)
class PublishedRow:
    """A method of a published table.

    Attributes:
        label: the method as the table prints it.
        agent: its spec; see `mtlgym.agents.make`.
        options: of its environment, added to the table's.
        published: the paper's `delta_m` in percent, `T`, `score` and `task/accuracy` in percent;
            empty for none.
        log_of: label of the row whose decisions the agent is fitted on; empty for none.
        data: `real` for a row that the stand-in has too few tasks for; empty for both.
    """

    label: str
    agent: str
    options: Mapping[str, Any] = field(default_factory=dict)
    published: Mapping[str, float] = field(default_factory=dict)
    log_of: str = ""
    data: str = ""

    def __post_init__(self) -> None:
        """Refuse other data."""
        if self.data not in ("", "real"):
            raise ValueError(f"`data` of a row must be 'real' or left out, not {self.data!r}")


@dataclass(frozen=True)
class TablePreset:
    """A published table: environment, methods and the paper's figures.

    Attributes:
        name: for `mtlgym bench --preset`.
        title: what it reproduces, and the paper.
        env: id of the environment that the figures are of.
        stand_in: id of the environment that is used where the real data of `env` are missing.
        rows: the table's methods.
        seeds: one run a seed and row.
        options: of every row's environment.
        real_options: the same, on the real data alone.
        needs: keys and values that a result must have for published figures to be shown with it.
        file: the file's name.
    """

    name: str
    title: str
    env: str
    stand_in: str
    rows: Sequence[PublishedRow]
    seeds: Sequence[int] = (0,)
    options: Mapping[str, Any] = field(default_factory=dict)
    real_options: Mapping[str, Any] = field(default_factory=dict)
    needs: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""

    def __post_init__(self) -> None:
        """Refuse rows that would share a folder, on any file system, or learn from no row."""
        labels: dict[str, str] = {}
        for row in self.rows:
            other = labels.setdefault(folder_name(row.label).casefold(), row.label)
            if other is not row.label:
                raise ValueError(
                    f"`label` must tell rows and their folders apart, not {other!r}, {row.label!r}"
                )
        first = {row.label for row in self.rows if not row.log_of}
        for row in self.rows:
            if row.log_of and row.log_of not in first:
                raise ValueError(
                    f"`log_of` of row {row.label!r} must be one of {sorted(first)}, "
                    f"not {row.log_of!r}"
                )

    @property
    def has_figures(self) -> bool:
        """Whether a row has a published figure."""
        return any(row.published for row in self.rows)

    def options_of(self, row: PublishedRow, real: bool) -> dict[str, Any]:
        """The options of the row's environment, on real or embedded data."""
        data = {"data": "real" if real else "embedded"}
        return {**self.options, **(self.real_options if real else {}), **row.options, **data}

    def published(self, results: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, float]]:
        """The paper's figures by label; none unless all results are of its protocol and data.

        They must also have the values in `needs`.
        """
        comparable = all(
            each["env"] == self.env
            and each["data"] == "real"
            and not set(self.changed(each)).difference(HARDWARE)
            and all(each.get(key) == value for key, value in self.needs.items())
            for each in results
        )
        rows = self.rows if comparable else ()
        return {row.label: row.published for row in rows if row.published}

    def changed(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """The options of the result that differ from the preset's."""
        row = next(row for row in self.rows if row.label == result["label"])
        own = self.options_of(row, result["data"] == "real")
        return {k: v for k, v in result["options"].items() if k not in own or own[k] != v}

    def check(self) -> None:
        """See that all ids and agents are known; it needs torch, whose import takes seconds.

        Raises:
            ValueError: for one that is not; names the file and the row.
        """
        check_rows(self.file, (self.env, self.stand_in), self.rows)


def check_rows(file: str, ids: Sequence[str], rows: Sequence[PublishedRow]) -> None:
    """See that a preset's ids and its rows' agents are known.

    Raises:
        ValueError: for one that is not; names the file and the row.
    """
    where = file
    try:
        for id in ids:
            preset(id)
        for row in rows:
            where = f"{file}, row {row.label!r}"
            agents.environment_options(row.agent)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


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
        ValueError: for an unknown key or a wrong value; names the file, and the row.
    """
    return read_preset(path, TablePreset)


def read_preset(path: Traversable, kind: type[Kind]) -> Kind:
    """The preset of that kind in a file, which has `rows`.

    Raises:
        ValueError: for an unknown key or a wrong value; names the file, and the row.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content.get("rows"), list) or not content["rows"]:
            raise ValueError("`rows` must be at least one [[rows]]")
        rows = [_row(each) for each in content["rows"]]
        return _make(kind, {**content, "rows": rows}, file=path.name)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def _row(given: Any) -> PublishedRow:
    if not isinstance(given, Mapping):
        raise ValueError(f"`rows` must be tables, not {given!r}")
    try:
        return _make(PublishedRow, given)
    except ValueError as error:
        raise ValueError(f"row {given.get('label')!r}: {error}") from error


def _make(kind: type[Kind], given: Mapping[str, Any], **apart: Any) -> Kind:
    """The dataclass with these values; those in `apart` cannot be set by the file."""
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
    "rows": lambda name, value: None,  # already checked
    "seeds": _seeds,
}


@dataclass(frozen=True)
class FigurePreset:
    """A published figure: environment, policies, oracles and seeds.

    Attributes:
        name: for `mtlgym bench --preset`.
        title: what it reproduces, and the paper.
        env: id of the environment.
        rows: the policies.
        seeds: one run a seed, oracle and policy. The environment's seed, from which MaxP and u are
            drawn; a policy's own draws follow from the whole list.
        oracles: oracles drawn, the k-th, from 0, from seed 1000 + k.
        options: of the environment.
        file: the file's name.
    """

    name: str
    title: str
    env: str
    rows: Sequence[PublishedRow]
    seeds: Sequence[int] = (0,)
    oracles: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""

    def __post_init__(self) -> None:
        """Refuse a figure without oracles."""
        checks.integer("oracles", self.oracles, least=1)

    def check(self) -> None:
        """See that the id and all agents are known.

        Raises:
            ValueError: for one that is not; names the file and the row.
        """
        check_rows(self.file, (self.env,), self.rows)


@cache
def figures() -> dict[str, FigurePreset]:
    """All figure presets by name.

    Raises:
        ValueError: for a file that is no figure preset; names it.
    """
    return {each.name: each for each in read_folder("figures", FigurePreset)}


def figure(name: str, labels: Sequence[str] = (), oracles: int | None = None) -> FigurePreset:
    """The figure preset of that name, checked, with these rows and oracles or all of its own.

    Raises:
        ValueError: for an unknown name or label, with the nearest; for an unknown id or agent.
    """
    found = lookup(figures(), name, "preset")
    found.check()
    known = {row.label: row for row in found.rows}
    rows = [lookup(known, label, f"row of {name}") for label in labels or known]
    return replace(found, rows=rows, oracles=found.oracles if oracles is None else oracles)
