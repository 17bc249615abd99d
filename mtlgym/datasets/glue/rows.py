"""Shared by the two layouts of GLUE's files: the search for folders, and rows to samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.datasets.texts import Texts, TextTask

PARTS = ("train", "dev")
HIGHEST = 5.0  # score


@dataclass(frozen=True, eq=False)
class GlueRows:
    """The rows of one file, with labels as the file spells them.

    Attributes:
        path: of the file.
        unit: what the numbers count: "line", from 1, or "row", from 0.
        numbers: where in the file each sample is.
        samples: of each its one or two texts, then its label.
    """

    path: Path
    unit: str
    numbers: Sequence[int]
    samples: Sequence[tuple[Any, ...]]


def places(folder: Path, task: str) -> list[Path]:
    """The folders of a task, however its name is spelt: `SST-2`, `SST2`, `sst2`."""
    return sorted(
        place
        for place in folder.glob("*")
        if "".join(filter(str.isalnum, place.name.lower())) == task and place.is_dir()
    )


def texts(rows: GlueRows, task: TextTask, spellings: Sequence[Any]) -> Texts:
    """The samples with their labels as class indices, or as scores where there are no classes.

    Args:
        rows: what a file holds.
        task: what it is of.
        spellings: how the file spells the classes, in the order of their indices.

    Raises:
        ValueError: if there are no samples, for an unknown label and for a score that is no number
            in [0, 5]; names the file and the line or row.
    """
    if not rows.samples:
        raise ValueError(f"{rows.path} has no samples. Get it again.")
    labels = _indices(rows, spellings) if task.labels else _scores(rows)
    second = [sample[1] for sample in rows.samples] if task.pairs else None
    return Texts([sample[0] for sample in rows.samples], second, labels)


def _indices(rows: GlueRows, spellings: Sequence[Any]) -> NDArray[np.int64]:
    classes = {spelling: index for index, spelling in enumerate(spellings)}
    indices = [classes.get(sample[-1], -1) for sample in rows.samples]
    if -1 in indices:
        at = indices.index(-1)
        known = ", ".join(map(str, spellings))
        what = f"unknown label {rows.samples[at][-1]!r}. Known: {known}."
        raise ValueError(f"{rows.path}, {rows.unit} {rows.numbers[at]}: {what}")
    return np.array(indices, np.int64)


def _scores(rows: GlueRows) -> NDArray[np.float32]:
    scores = np.array([_number(sample[-1]) for sample in rows.samples])
    sound = (scores >= 0) & (scores <= HIGHEST)  # False for nan
    if not sound.all():
        at = int(np.argmin(sound))
        what = f"the score must be a number in [0, {HIGHEST:g}], not {rows.samples[at][-1]!r}"
        raise ValueError(f"{rows.path}, {rows.unit} {rows.numbers[at]}: {what}")
    return scores.astype(np.float32)


def _number(value: Any) -> float:
    """The value as a number, nan for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
