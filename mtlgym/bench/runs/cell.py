"""A cell: one training of one environment by one agent from one seed."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mtlgym import __version__, checks
from mtlgym.io import checked_json
from mtlgym.presets.environments import preset

PACKAGES = (
    "cma",
    "gymnasium",
    "numpy",
    "scikit-learn",
    "scipy",
    "stable-baselines3",
    "tokenizers",
    "torch",
    "torch-geometric",
    "transformers",
)


@cache
def versions() -> dict[str, str]:
    """The installed version of each package that results depend on."""
    return {"mtlgym": __version__, **{package: version(package) for package in PACKAGES}}


AGENT, DECISIONS, LOG, RESULT, SETTINGS = (
    "agent",
    "decisions.log",
    "progress.jsonl",
    "result.json",
    "settings.json",
)
CELLS = "cells"  # the folder of an environment's cells
DIGITS = 16  # of a cell's digest, in its folder's name
SPLITS = ("test", "val")


@dataclass(frozen=True)
class Cell:
    """The settings of one run.

    Attributes:
        env: the environment's id.
        agent: the agent's spec; see `mtlgym.agents.make`.
        seed: of the environment and the agent.
        options: keyword arguments of `gym.make`.
        label: the row of a published table that it is of, empty for none.
        stand_in_for: id of the environment that `env` stands in for, empty for none.
        log_of: label of the row whose decisions, from the same seed, the agent is fitted on before
            it starts; empty for none.
        tuned: how the settings were chosen, if they were: `agent`, the spec before; `settings`,
            their values; `trials`, how many were compared; `by`, on what.
        split: on which the trained model is measured: `test`, or `val` for the runs of a search,
            which never read the test split.
        policy: the file of a saved agent that acts and does not learn: `path`, `sha256` and
            whether to `trust` it; `agent` is then its spec. Empty for a new agent.
        bandits: of a vector of bandits under one policy: `oracles`, how many are drawn, and
            `seeds`, with which each is combined; `seed` is then of the agent alone. Empty for one
            environment.
    """

    env: str
    agent: str
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    stand_in_for: str = ""
    log_of: str = ""
    tuned: Mapping[str, Any] = field(default_factory=dict)
    split: str = SPLITS[0]
    policy: Mapping[str, Any] = field(default_factory=dict)
    bandits: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse another split, and bandits without oracles or seeds."""
        if self.split not in SPLITS:
            raise ValueError(f"`split` must be one of {SPLITS}, not {self.split!r}")
        if self.bandits:
            check_bandits(self.bandits)
            if preset(self.env).kind != "bandit":
                raise ValueError(f"`bandits` goes with environments of bandits, not {self.env}")

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> "Cell":
        """The cell that the result is of."""
        return cls(**{f.name: result[f.name] for f in fields(cls) if f.name in result})

    @property
    def kind(self) -> str:
        """The kind of its environment: `training`, `routing`, `bandit`, or `bandits` for a vector.

        Raises:
            ValueError: for an unknown id.
        """
        return "bandits" if self.bandits else preset(self.env).kind

    @property
    def name(self) -> str:
        """Its name among the cells of the same environment and seed."""
        if self.tuned:
            return f"{self.tuned['agent']} (tuned)"
        if self.policy:
            return f"{self.agent} (kept)"
        return self.label or self.agent

    def folder(self, out: Path) -> Path:
        """Where the cell's files are in a folder of many cells: named by all that decides it."""
        return out / self.env / CELLS / checked_json.digest(self.describe())[:DIGITS]

    def to_dict(self) -> dict[str, Any]:
        """Its first four fields, and the others where they are not empty or the default."""
        bare = asdict(Cell(self.env, self.agent, self.seed))
        said = ("env", "agent", "seed", "options")
        return {k: v for k, v in asdict(self).items() if k in said or v != bare[k]}

    def describe(self) -> dict[str, Any]:
        """All that decides the result: the preset's options too, and the version."""
        options = preset(self.env).options | dict(self.options)
        whole = {**self.to_dict(), "options": options, "version": __version__}
        if self.policy:  # wherever it lies
            whole["policy"] = self.policy["sha256"]
        return json.loads(json.dumps(whole))


def check_bandits(bandits: Mapping[str, Any]) -> None:
    """Refuse anything but a number of oracles, and seeds.

    Raises:
        ValueError: names the part and its value.
    """
    if set(bandits) != {"oracles", "seeds"} or not isinstance(bandits["seeds"], list | tuple):
        raise ValueError(f"`bandits` must have `oracles` and a list `seeds`, not {bandits!r}")
    checks.integer("oracles", bandits["oracles"], least=1)
    if not bandits["seeds"]:
        raise ValueError("`seeds` of `bandits` must be at least one")
    for seed in bandits["seeds"]:
        checks.integer("seeds", seed, least=0)


def open_folder(cell: Cell, folder: Path, data: Mapping[str, str]) -> None:
    """Create the cell's folder, or check that the existing one is of this cell and these data.

    Args:
        cell: the settings.
        folder: the folder.
        data: `kind` and `sha256` of the data set.

    Raises:
        ValueError: if the folder holds a cell of other settings or data; names them.
        OSError: if it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = _settings_of(cell, folder)
    if found is None:
        content = {"settings": cell.describe(), "versions": versions(), "data": dict(data)}
        checked_json.write(folder / SETTINGS, content)
    elif found["data"] != dict(data):
        raise ValueError(
            f"{folder} holds a run on other data: {found['data']} there, {dict(data)} here; "
            "name another folder or delete it"
        )
    elif found["versions"] != versions():
        changed = sorted(k for k, v in versions().items() if found["versions"].get(k) != v)
        told = ", ".join(f"{k} {found['versions'].get(k)} there" for k in changed)
        warnings.warn(f"{folder} was begun by other versions: {told}", UserWarning, stacklevel=2)


def read_result(cell: Cell, folder: Path) -> dict[str, Any] | None:
    """The finished cell's result, None if it is not finished, or has to be measured again.

    A result that is damaged is named in a warning.

    Raises:
        ValueError: if the folder holds a cell of other settings; names them.
    """
    if _settings_of(cell, folder) is None or not (folder / RESULT).exists():
        return None
    try:
        return checked_json.read(folder / RESULT)
    except ValueError as error:
        warnings.warn(f"{error}; it is made again", UserWarning, stacklevel=2)
        return None


def _settings_of(cell: Cell, folder: Path) -> dict[str, Any] | None:
    """The content of the settings file; None if it is missing, or damaged (with a warning)."""
    path = folder / SETTINGS
    if not path.exists():
        return None
    try:
        content = checked_json.read(path)
    except ValueError as error:
        warnings.warn(f"{error}; it is made again", UserWarning, stacklevel=2)
        return None
    found, wanted = content["settings"], cell.describe()
    if found != wanted:
        differing = sorted(k for k in {*found, *wanted} if found.get(k) != wanted.get(k))
        told = "; ".join(f"{k}: {found.get(k)!r} there, {wanted.get(k)!r} here" for k in differing)
        raise ValueError(f"{folder} holds another run ({told}); name another folder or delete it")
    return content
