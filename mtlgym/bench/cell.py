"""A cell: one training of one environment by one agent from one seed."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from mtlgym import __version__
from mtlgym.files import write_atomically
from mtlgym.presets import preset

CHECKPOINT, DECISIONS, LOG, RESULT, SETTINGS = (
    "checkpoint.mtlgym",
    "decisions.log",
    "progress.jsonl",
    "result.json",
    "settings.json",
)
OF_TABLES = ("label", "stand_in_for", "log_of")
ROWS = "rows"  # a folder of its own: labels such as UW differ from agents by capitals alone


@dataclass(frozen=True)
class Cell:
    """What is run.

    Attributes:
        env: the environment's id.
        agent: what decides; see `mtlgym.agents.make`.
        seed: of the environment and the agent.
        options: what `gym.make` gets beside the id.
        label: the row of a published table that it is of, empty for none.
        stand_in_for: id of the environment that `env` stands in for, empty for none.
        log_of: label of the row whose decisions, from the same seed, the agent is fitted on before
            it starts; empty for none.
    """

    env: str
    agent: str
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    stand_in_for: str = ""
    log_of: str = ""

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> "Cell":
        """The cell that the result is of."""
        return cls(**{f.name: result[f.name] for f in fields(cls) if f.name in result})

    @property
    def name(self) -> str:
        """What tells it from the other cells of its environment and seed."""
        return self.label or self.agent

    def folder(self, out: Path) -> Path:
        """Where the cell's files are in a folder of many cells."""
        rows = (ROWS,) if self.label else ()
        return out.joinpath(self.env, *rows, folder_name(self.name), f"seed-{self.seed}")

    def to_dict(self) -> dict[str, Any]:
        """Its fields, but for those on published tables where there are none."""
        return {k: v for k, v in asdict(self).items() if v or k not in OF_TABLES}

    def describe(self) -> dict[str, Any]:
        """All that decides the result: the preset's options too, and the version."""
        options = preset(self.env).options | dict(self.options)
        whole = {**self.to_dict(), "options": options, "version": __version__}
        return json.loads(json.dumps(whole))


def folder_name(text: str) -> str:
    """The text with a dash for each character that may mean something in a path."""
    return "".join(c if c.isalnum() or c in "-_.=" else "-" for c in text)


def open_folder(cell: Cell, folder: Path) -> None:
    """Make the cell's folder, or see that the one that is there is this cell's.

    Raises:
        ValueError: if the folder holds a cell of other settings; says which.
        OSError: if it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not _is_of(cell, folder):
        write_atomically(folder / SETTINGS, json.dumps(cell.describe(), indent=1).encode())


def read_result(cell: Cell, folder: Path) -> dict[str, Any] | None:
    """The finished cell's result, None if it is not finished.

    Raises:
        ValueError: if the folder holds a cell of other settings; says which.
    """
    path = folder / RESULT
    return read_json(path) if _is_of(cell, folder) and path.exists() else None


def _is_of(cell: Cell, folder: Path) -> bool:
    """Whether the folder is the cell's already, not just free."""
    path = folder / SETTINGS
    if not path.exists():
        return False
    found, wanted = read_json(path), cell.describe()
    if found != wanted:
        differing = sorted(k for k in {*found, *wanted} if found.get(k) != wanted.get(k))
        told = "; ".join(f"{k}: {found.get(k)!r} there, {wanted.get(k)!r} here" for k in differing)
        raise ValueError(f"{folder} holds another run ({told}); name another folder or delete it")
    return True


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in the file.

    Raises:
        ValueError: if the file is damaged; names it.
    """
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged: not JSON ({error}); delete it") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: not a JSON object; delete it")
    return content
