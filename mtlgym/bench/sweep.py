"""Sweeps: the cells that a TOML file names, every combination of settings and seeds.

A file has `agents`, `seeds`, `options` and `grid` for all environments, and these again, or `tuned`
or `bandits`, in each of its tables `envs`, which have an `id`; docs/sweeps.md has an example. An
environment's options are added to those above and override them; its own `agents`, `seeds` and
`grid` replace those above. `tuned`, a file of `mtlgym tune`, is relative to the file's folder.
"""

import itertools
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtlgym import checks
from mtlgym.bench import tuning as tuned
from mtlgym.bench.runs.cell import Cell, check_bandits
from mtlgym.lookup import unknown

SHARED = ("agents", "seeds", "options", "grid")  # keys of one environment, or of the file for all


@dataclass(frozen=True)
class Group:
    """The runs of one environment.

    Attributes:
        id: the environment's.
        agents: as for `mtlgym.agents.make`.
        seeds: one run a seed, agent and combination of settings.
        options: of all runs.
        grid: an option's values; every combination of all options' values is run.
        tuned: a file of `mtlgym tune`, whose settings are taken, with its options; no `agents` are
            all that it has.
        bandits: `oracles` and `seeds` of a vector of bandits, on which each run is then made; see
            `Cell.bandits`.
    """

    id: str
    agents: Sequence[str] = ()
    seeds: Sequence[int] = (0,)
    options: Mapping[str, Any] = field(default_factory=dict)
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    tuned: str = ""
    bandits: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse an option that is given twice, and a group without agents."""
        if self.tuned and (self.options or self.grid):
            raise ValueError("`options` and `grid` do not go with `tuned`, whose file has them")
        if self.tuned and self.bandits:
            raise ValueError("`bandits` does not go with `tuned`, whose runs are of single bandits")
        if not self.tuned and not self.agents:
            raise ValueError("`agents` is missing")
        for key in self.grid:
            if key in self.options:
                raise ValueError(f"`{key}` must be in one of `options` and `grid`, not in both")

    def cells(self) -> list[Cell]:
        """Its cells, a seed at a time, so that a sweep that is cut short compares all."""
        if self.tuned:
            return tuned.cells(Path(self.tuned), self.id, self.agents, self.seeds)
        combinations = [
            dict(zip(self.grid, values, strict=True))
            for values in itertools.product(*self.grid.values())
        ]
        return [
            Cell(self.id, agent, seed, {**self.options, **chosen}, bandits=self.bandits)
            for seed in self.seeds
            for chosen in combinations
            for agent in self.agents
        ]


def read(path: Path) -> list[Cell]:
    """The cells of the file.

    Raises:
        ValueError: for an unknown key or a wrong value; names the file, the key, the environment.
        OSError: if it cannot be read.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return [cell for group in _groups(content, path.parent) for cell in group.cells()]
    except (ValueError, RecursionError) as error:  # a TOML or Unicode error is one, too
        raise ValueError(f"{path}: {error}") from error


def _groups(content: Mapping[str, Any], folder: Path) -> list[Group]:
    envs = content.get("envs")
    if not isinstance(envs, list) or not envs:
        raise ValueError("`envs` must be at least one [[envs]]")
    shared = {key: value for key, value in content.items() if key != "envs"}
    _check(shared, SHARED)
    return [_group(each, shared, folder) for each in envs]


def _group(given: Any, shared: Mapping[str, Any], folder: Path) -> Group:
    if not isinstance(given, Mapping) or not isinstance(given.get("id"), str):
        raise ValueError(f"`envs` must be tables with an `id`, not {given!r}")
    try:
        _check(given, ("id", "tuned", "bandits", *SHARED))
        if "tuned" in given:  # the keys for all environments do not apply to these runs
            seeds = {"seeds": shared["seeds"]} if "seeds" in shared else {}
            return Group(**{**seeds, **given, "tuned": str(folder / given["tuned"])})
        options = {**shared.get("options", {}), **given.get("options", {})}
        return Group(**{**shared, **given, "options": options})
    except ValueError as error:
        raise ValueError(f"{given['id']}: {error}") from error


def _check(given: Mapping[str, Any], known: Sequence[str]) -> None:
    for key, value in given.items():
        if key not in known:
            raise ValueError(unknown(key, known, "key"))
        CHECKS.get(key, lambda value: None)(value)


def _agents(value: Any) -> None:
    if not isinstance(value, list) or not value or not all(isinstance(x, str) for x in value):
        raise ValueError(f"`agents` must be a list of at least one text, not {value!r}")


def _seeds(value: Any) -> None:
    if not isinstance(value, list) or not value:
        raise ValueError(f"`seeds` must be a list of at least one integer, not {value!r}")
    for seed in value:
        checks.integer("seeds", seed, least=0)
    if len(set(value)) < len(value):
        raise ValueError(f"`seeds` must name each once, not {value!r}")


def _options(value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(f"`options` must be a table, not {value!r}")


def _grid(value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(f"`grid` must be a table of lists, not {value!r}")
    for key, values in value.items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"`grid.{key}` must be a list of at least one value, not {values!r}")


def _tuned(value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"`tuned` must be the path of a file, not {value!r}")


def _bandits(value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(f"`bandits` must be a table, not {value!r}")
    check_bandits(value)


CHECKS: dict[str, Callable[[Any], None]] = {
    "agents": _agents,
    "seeds": _seeds,
    "options": _options,
    "grid": _grid,
    "tuned": _tuned,
    "bandits": _bandits,
}
