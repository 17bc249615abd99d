"""Table presets: published tables, with a row for each of their methods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mtlgym import agents
from mtlgym.io.names import folder_name
from mtlgym.presets import preset

# Options that are no part of a protocol.
HARDWARE = ("channels_last", "compile", "device", "fused")


@dataclass(frozen=True)
class Row:
    """A method of a published table.

    Attributes:
        label: the method as the table prints it.
        agent: its spec; see `mtlgym.agents.make`.
        options: what its environment is made with beside the table's options.
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
        name: what `mtlgym bench --preset` takes.
        title: what it reproduces, and the paper.
        env: id of the environment that the figures are of.
        stand_in: id of the environment that is used where the real data of `env` are missing.
        rows: the table's methods.
        seeds: one run a seed and row.
        options: what every row's environment is made with.
        real_options: the same, on the real data alone.
        needs: what a result must say for the published figures to be shown beside it.
        file: the file's name.
    """

    name: str
    title: str
    env: str
    stand_in: str
    rows: Sequence[Row]
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

    def options_of(self, row: Row, real: bool) -> dict[str, Any]:
        """What the row's environment is made with, on real or embedded data."""
        data = {"data": "real" if real else "embedded"}
        return {**self.options, **(self.real_options if real else {}), **row.options, **data}

    def published(self, results: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, float]]:
        """The paper's figures by label; none unless all results are of its protocol and data.

        They must also say what the preset `needs`.
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
        """Those of the result's options that are not the preset's own."""
        row = next(row for row in self.rows if row.label == result["label"])
        own = self.options_of(row, result["data"] == "real")
        return {k: v for k, v in result["options"].items() if k not in own or own[k] != v}

    def check(self) -> None:
        """See that all ids and agents are known; it needs torch, whose import takes seconds.

        Raises:
            ValueError: for one that is not; names the file and the row.
        """
        check_rows(self.file, (self.env, self.stand_in), self.rows)


def check_rows(file: str, ids: Sequence[str], rows: Sequence[Row]) -> None:
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
