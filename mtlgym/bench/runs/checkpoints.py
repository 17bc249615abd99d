"""The last two checkpoints of a run: if one is damaged, the other is used."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from mtlgym.io import checkpoint

CHECKPOINT, PREVIOUS, NEXT = (
    "checkpoint.mtlgym",
    "checkpoint.previous.mtlgym",
    "checkpoint.next.mtlgym",
)
NEWEST_FIRST = (NEXT, CHECKPOINT, PREVIOUS)  # NEXT is there after a crash between two renamings
Made = TypeVar("Made")


def save(folder: Path, state: Any) -> None:
    """Write the state; the previous checkpoint is kept.

    Raises:
        OSError: if it cannot be written; both older ones are as they were.
    """
    checkpoint.save(folder / NEXT, state)
    if (folder / CHECKPOINT).exists():
        os.replace(folder / CHECKPOINT, folder / PREVIOUS)
    os.replace(folder / NEXT, folder / CHECKPOINT)


def newest(folder: Path, use: Callable[[Any], Made]) -> Made | None:
    """The result of `use` on the newest undamaged checkpoint; None if there is none.

    One that is damaged, or that `use` finds no use for, is named in a warning and passed over.

    Args:
        folder: of the run.
        use: takes a state; raises DamagedError where it does not fit the folder's other files.
    """
    for name in NEWEST_FIRST:
        path = folder / name
        if not path.exists():
            continue
        try:
            state = checkpoint.load(path)
        except ValueError as error:
            _pass_over(path, error)
            continue
        try:
            return use(state)
        except DamagedError as error:
            _pass_over(path, error)
    return None


class DamagedError(ValueError):
    """A file that a checkpoint refers to has changed."""


def _pass_over(path: Path, error: ValueError) -> None:
    warnings.warn(f"{path} is passed over for an earlier state: {error}", stacklevel=3)
