"""The cells of a preset: a table's on the real data if they are there, else on the stand-in."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtlgym.bench.runs.cell import Cell
from mtlgym.datasets import sources
from mtlgym.lookup import lookup
from mtlgym.presets.environments import preset
from mtlgym.presets.published import FigurePreset, PublishedRow, TablePreset


@dataclass(frozen=True)
class Plan:
    """A table preset on the data that there are.

    Attributes:
        table: the preset.
        real: whether it runs on the real data.
        options: the user's, added to the preset's own.
    """

    table: TablePreset
    real: bool
    options: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Refuse options that contradict those of a row."""
        if "data" in self.options:
            raise ValueError("`data` of a preset's runs is what `--data` says; leave it out of it")
        for row in self.rows:
            for key, value in row.options.items():
                if self.options.get(key, value) != value:
                    raise ValueError(
                        f"`{key}` is {value!r} in row {row.label!r} of {self.table.name}, "
                        f"not {self.options[key]!r}"
                    )

    @property
    def env(self) -> str:
        """Id of the environment that is run."""
        return self.table.env if self.real else self.table.stand_in

    @property
    def rows(self) -> list[PublishedRow]:
        """The rows that exist for these data."""
        return [row for row in self.table.rows if self.real or row.data != "real"]

    def describe(self) -> str:
        """The title of the preset, the environment and the data, for the terminal."""
        what = f"{self.table.name}: {self.table.title}."
        if self.real:
            return f"{what} On the real data, by {self.env}."
        dataset = _dataset(self.table)
        theirs = f", which are in {self.table.file} and left out here"
        return (
            f"{what} Not on its data: {self.env} stands in for {self.table.env}, with embedded "
            "data. The results are not comparable with the published figures"
            f"{theirs if self.table.has_figures else ''}. The real data are looked for in "
            f"{dataset.folder}. {dataset.remedy}"
        )

    def folder(self, out: Path) -> Path:
        """Where the table and its plots are in a folder of many cells."""
        return out / self.env / self.table.name

    def cells(self, labels: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Cell]:
        """The cells of these rows, or all, a seed at a time; the preset's seeds if none are given.

        Raises:
            ValueError: for a label that no row has; names the nearest.
        """
        known = {row.label: row for row in self.rows}
        rows = [lookup(known, label, f"row of {self.table.name}") for label in labels or known]
        return [self._cell(row, seed) for seed in seeds or self.table.seeds for row in rows]

    def of(self, results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The results of one of the rows, from any seed, in the order of the rows."""
        cells = self.cells(seeds=(0,))
        wanted = {_protocol(cell.to_dict()): place for place, cell in enumerate(cells)}
        mine = [result for result in results if _protocol(result) in wanted]
        return sorted(mine, key=lambda result: wanted[_protocol(result)])

    def _cell(self, row: PublishedRow, seed: int) -> Cell:
        options = {**self.table.options_of(row, self.real), **self.options}
        stand_in_for = "" if self.real else self.table.env
        return Cell(self.env, row.agent, seed, options, row.label, stand_in_for, row.log_of)


def plan(table: TablePreset, data: str = "auto", options: Mapping[str, Any] | None = None) -> Plan:
    """Choose the environment; nothing is built or read.

    Args:
        table: the preset.
        data: "auto" takes the real data if they are there, "real" insists on them, "embedded"
            takes the stand-in.
        options: added to the preset's own.

    Raises:
        ValueError: for another mode, or options that contradict a row's.
        FileNotFoundError: for "real" without the files; names the folder and how to get them.
    """
    dataset = _dataset(table)
    found = sources.find(dataset.name) if data == "auto" else sources.choose(data, dataset.name)
    return Plan(table, found is not None, options or {})


def _dataset(table: TablePreset) -> sources.Dataset:
    """The data set of the table's environment; its problem is called as the data set."""
    return lookup(sources.DATASETS, preset(table.env).options["problem"], "data set")


def _protocol(result: Mapping[str, Any]) -> str:
    """All settings of a result but for the seed, as text."""
    keys = ("env", "label", "agent", "options", "stand_in_for")
    return json.dumps([result.get(key) for key in keys], sort_keys=True)


def figure_cells(
    figure: FigurePreset, seeds: Sequence[int] = (), options: Mapping[str, Any] | None = None
) -> list[Cell]:
    """A cell a policy of a figure, on a vector of all its bandits.

    Args:
        figure: the preset.
        seeds: of the bandits; the preset's by default. A policy's own draws start from the first.
        options: added to the preset's own.
    """
    chosen = list(dict.fromkeys(seeds or figure.seeds))
    bandits = {"oracles": figure.oracles, "seeds": chosen}
    made_with = {**figure.options, **(options or {})}
    return [
        Cell(figure.env, row.agent, chosen[0], made_with, row.label, bandits=bandits)
        for row in figure.rows
    ]
