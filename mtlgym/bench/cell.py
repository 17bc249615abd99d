"""A cell: one training of one environment by one agent from one seed."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mtlgym.files import write_atomically

CHECKPOINT, LOG, RESULT, SETTINGS = (
    "checkpoint.mtlgym",
    "progress.jsonl",
    "result.json",
    "settings.json",
)


@dataclass(frozen=True)
class Cell:
    """What is run.

    Attributes:
        env: the environment's id.
        agent: what decides; see `mtlgym.agents.make`.
        seed: of the environment and the agent.
        options: what `gym.make` gets beside the id.
    """

    env: str
    agent: str
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)

    def folder(self, out: Path) -> Path:
        """Where the cell's files are in a folder of many cells."""
        agent = "".join(c if c.isalnum() or c in "-_.=" else "-" for c in self.agent)
        return out / self.env / agent / f"seed-{self.seed}"


def open_folder(cell: Cell, folder: Path) -> None:
    """Make the cell's folder, or see that the one that is there is this cell's.

    Raises:
        ValueError: if the folder holds a cell of other settings; says which.
        OSError: if it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SETTINGS
    wanted = json.loads(json.dumps(asdict(cell)))
    if not path.exists():
        write_atomically(path, json.dumps(wanted, indent=1).encode())
        return
    found = json.loads(path.read_text())
    if found != wanted:
        raise ValueError(f"{folder} holds another run: {found}, not {wanted}; name another folder")


def read_result(folder: Path) -> dict[str, Any] | None:
    """The finished cell's result, None if it is not finished."""
    path = folder / RESULT
    return json.loads(path.read_text()) if path.exists() else None
