"""Finished runs, read from a folder of runs of any environments."""

import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from mtlgym import __version__
from mtlgym.bench.runs.cell import CELLS, LOG, RESULT, Cell
from mtlgym.io import checked_json, jsonl

LAYOUT: Mapping[str, Any] = {  # keys that every result has
    "env": str,
    "agent": str,
    "seed": int,
    "options": dict,
    "tasks": list,
    "data": str,
    "data_sha256": str,
    "units": dict,
    "higher_is_better": dict,
    "failure": str,
    "steps": int,
    "seconds": int | float,
    "log_sha256": str,
    "versions": dict,
}


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Attributes:
        result: the content of its `result.json`.
        folder: where its files are.
        name: its name among the runs of its environment: the row's label or the agent, and the
            options that differ between those runs.
        bandit: of a run on a vector of bandits, the index of the bandit that this one stands for.
    """

    result: dict[str, Any]
    folder: Path
    name: str
    bandit: int | None = None

    @property
    def seed(self) -> int:
        """The run's."""
        return self.result["seed"]

    @property
    def version(self) -> str:
        """Of mtlgym, that it ran with."""
        return self.result["versions"].get("mtlgym", "")

    def log(self) -> list[dict[str, Any]]:
        """The rows of its log; none, with a warning, if the file is missing or was changed."""
        path = self.folder / LOG
        rows = _read_log(path, self.result["log_sha256"])
        if rows is None:
            warnings.warn(f"{path} is missing or damaged and left out", UserWarning, stacklevel=2)
            return []
        if self.bandit is None:
            return rows
        return [
            {
                **{key: value for key, value in row.items() if key != "mean_scores"},
                "score": 1.0 - row["mean_scores"][self.bandit],
                "gained": row["gained"][self.bandit],
            }
            for row in rows
        ]

    def bandits(self) -> "list[Finished]":
        """A run a bandit, of a run on a vector of bandits; of another run, itself alone."""
        if self.result.get("kind") != "bandits":
            return [self]
        dropped = ("bandits", "bandits_results", "distributions")
        shared = {key: value for key, value in self.result.items() if key not in dropped}
        return [
            replace(
                self,
                result={
                    **shared,
                    "kind": "bandit",
                    "oracle": each["oracle"],
                    "seed": each["seed"],
                    "test": {"score": each["score"]},
                    "gained": each["gained"],
                },
                bandit=index,
            )
            for index, each in enumerate(self.result["bandits_results"])
        ]


def read_finished(out: Path, env: str = "*") -> list[Finished]:
    """The finished runs of a folder, by environment, name and seed; one for each of many bandits.

    Unfinished runs are left out; damaged ones too, with a warning.

    Args:
        out: the argument of `mtlgym bench --out`.
        env: the environment's id; all by default.
    """
    found = [run for cells in out.glob(f"{env}/{CELLS}") for run in in_cells(cells)]
    measured = [run for run in found if "test" in run.result]  # not those of a search
    runs = [each for run in _named(measured) for each in run.bandits()]
    return sorted(runs, key=lambda run: (run.result["env"], run.name, run.seed))


def read_results(out: Path, env: str) -> list[dict[str, Any]]:
    """The results of an environment's finished runs by this version of mtlgym."""
    return [run.result for run in read_finished(out, env) if run.version == __version__]


def in_cells(folder: Path) -> Iterator[Finished]:
    """The finished runs among the cells of a folder; damaged ones are named in a warning."""
    for path in sorted(folder.glob(f"*/{RESULT}")):
        try:
            result = checked_json.read(path)
            _check(path, result)
        except ValueError as error:
            warnings.warn(f"{error}; it is left out", UserWarning, stacklevel=2)
            continue
        yield Finished(result, path.parent, Cell.of(result).name)


@lru_cache(maxsize=8)  # runs on many bandits share a log
def _read_log(path: Path, digest: str) -> list[dict[str, Any]] | None:
    """The rows of the log; None if it is missing or has another SHA-256."""
    if not path.exists() or sha256(path.read_bytes()).hexdigest() != digest:
        return None
    return jsonl.read(path)


def _check(path: Path, result: Mapping[str, Any]) -> None:
    """Refuse a result that lacks a key of `LAYOUT`."""
    for key, kind in LAYOUT.items():
        if not isinstance(result.get(key), kind) or isinstance(result[key], bool):
            raise ValueError(f"{path} is of another layout: its {key!r} is {result.get(key)!r}")


def _named(runs: Iterable[Finished]) -> list[Finished]:
    """The runs, with names that are unique in their environment."""
    groups: dict[tuple[str, str], list[Finished]] = defaultdict(list)
    for run in runs:
        groups[run.result["env"], run.name].append(run)
    return [replace(run, name=_name(run, group)) for group in groups.values() for run in group]


def _name(run: Finished, group: Sequence[Finished]) -> str:
    """The run's name with the options, and the version of mtlgym, that differ in the group.

    The names of tuned agents are unique already.
    """
    others = [each.result["options"] for each in group if not each.result.get("tuned")]
    told = [
        f"{key}={run.result['options'].get(key, 'default')}"
        for key in sorted({key for options in others for key in options})
        if len({repr(options.get(key)) for options in others}) > 1
    ]
    told = [] if run.result.get("tuned") else told
    if len({each.version for each in group}) > 1:
        told.append(f"mtlgym {run.version}")
    return f"{run.name} ({', '.join(told)})" if told else run.name
