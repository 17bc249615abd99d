"""GLUE: eight tasks of understanding English.

Source: Wang, Singh, Michael, Hill, Levy, Bowman (ICLR 2019), https://arxiv.org/abs/1804.07461.
"""

import hashlib
from collections.abc import Sequence
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.datasets import sources
from mtlgym.datasets.formats.arrays import sha256
from mtlgym.datasets.glue import hub, tsv
from mtlgym.datasets.glue.rows import PARTS
from mtlgym.datasets.texts import Texts, TextTask

__all__ = ["TASKS", "digest", "load", "verify"]

# The labels are in the order of the hub's class indices.
TASKS = {
    task.name: task
    for task in (
        TextTask("cola", ("0", "1"), False, ("matthews",)),
        TextTask("mnli", ("entailment", "neutral", "contradiction"), True, ("accuracy",)),
        TextTask("mrpc", ("0", "1"), True, ("accuracy", "f1")),
        TextTask("qnli", ("entailment", "not_entailment"), True, ("accuracy",)),
        TextTask("qqp", ("0", "1"), True, ("accuracy", "f1")),
        TextTask("rte", ("entailment", "not_entailment"), True, ("accuracy",)),
        TextTask("sst2", ("0", "1"), False, ("accuracy",)),
        TextTask("stsb", (), True, ("pearson", "spearman")),
    )
}
LAYOUTS = (tsv, hub)  # the first that has both files of a task is read
SEED = 20190714  # of which samples are held out


def load(
    folder: Path, tasks: Sequence[str] = tuple(TASKS), validation: int = 1000
) -> dict[str, dict[str, Texts]]:
    """The samples of each task, as "train", "val" and "test".

    GLUE keeps its test labels secret, so "test" is its dev set (MNLI: the matched one), and "val"
    is a tenth of its training file, at most `validation` samples, the same ones every time. "train"
    is the rest, in the file's order. So neither training nor a choice made on "val" sees dev.

    Samples of a training file that share a text (phrases of one sentence in SST-2, pairs with one
    question in QQP) may be parted, so results on "val" can be better than on "test".

    Both layouts of the files do: tab-separated ones, and the hub's parquet files, for which pyarrow
    is needed. Where a task has both, the tab-separated ones are read.

    Differs from the task selection paper (https://arxiv.org/abs/1907.06214) in that it trains on
    all of the training file and reports dev.

    Args:
        folder: with one folder a task, in any usual spelling (`SST-2`, `SST2`, `sst2`).
        tasks: which of `TASKS`, each once.
        validation: most samples that are held out of a task's training file, at least 1.

    Raises:
        ValueError: for other tasks, another number, or a damaged file; names the file and the line
            or row.
        FileNotFoundError: if a task's file is missing; names it, and how to do without the task.
        ImportError: if the files are parquet and pyarrow is not there.
    """
    chosen = checks.tasks(tasks, TASKS)
    checks.integer("validation", validation, 1)
    files = {task: _files(folder, task) for task in chosen}  # all are there before one is read
    return {task: _splits(task, each, validation) for task, each in files.items()}


def digest(folder: Path, tasks: Sequence[str] = tuple(TASKS)) -> str:
    """The SHA-256 of the files that `load` reads for these tasks, in any order of the tasks.

    Raises:
        ValueError: for other tasks.
        FileNotFoundError: if a task's file is missing; names it, and how to do without the task.
    """
    whole = hashlib.sha256()
    for task in sorted(checks.tasks(tasks, TASKS)):
        files = _files(folder, task)
        for part in PARTS:
            for path in files[part]:
                whole.update(f"{task}/{part} {sha256(path)}\n".encode())
    return whole.hexdigest()


def verify(folder: Path) -> None:
    """Read every present file, in both layouts.

    Raises:
        ValueError: for the first file that is damaged; names it and the line or row.
        FileNotFoundError: if one of several files of a set is missing; names it.
        ImportError: if there are parquet files and pyarrow is not there.
    """
    for layout in LAYOUTS:
        for task in TASKS:
            for paths in layout.find(folder, task).values():
                _read(paths, task)


def _files(folder: Path, task: str) -> dict[str, list[Path]]:
    """The paths of a task's "train" and "dev" sets."""
    found = [layout.find(folder, task) for layout in LAYOUTS]
    for files in found:
        if len(files) == len(PARTS):
            return files
    part = "dev" if any("train" in files for files in found) else "train"
    names = " or ".join(layout.wanted(task, part) for layout in LAYOUTS)
    there = [name for name in TASKS if _is_there(folder, name)]
    how = f" Or leave the task out, as in `tasks={there}`." if there else ""
    remedy = sources.DATASETS["glue"].remedy
    raise FileNotFoundError(f"the task {task!r} needs {names} in {folder}. {remedy}{how}")


def _is_there(folder: Path, task: str) -> bool:
    """Whether a layout has both files of a task."""
    return any(len(layout.find(folder, task)) == len(PARTS) for layout in LAYOUTS)


def _read(paths: Sequence[Path], task: str) -> Texts:
    """The samples of some files of one layout, one after another."""
    reader = tsv.read if paths[0].suffix == ".tsv" else hub.read
    each = [reader(path, TASKS[task]) for path in paths]
    second = [text for some in each for text in some.second or ()]
    return Texts(
        [text for some in each for text in some.first],
        second if TASKS[task].pairs else None,
        np.concatenate([some.labels for some in each]),
    )


def _splits(task: str, files: dict[str, list[Path]], validation: int) -> dict[str, Texts]:
    whole, test = (_read(files[part], task) for part in PARTS)
    count = len(whole.labels)
    if count < 2:
        raise ValueError(f"{files['train'][0]} must have at least 2 samples: one is held out")
    rng = np.random.default_rng([SEED, *task.encode()])
    held = np.zeros(count, bool)
    held[rng.permutation(count)[: min(validation, max(1, count // 10))]] = True
    return {"train": _take(whole, ~held), "val": _take(whole, held), "test": test}


def _take(texts: Texts, chosen: NDArray[np.bool_]) -> Texts:
    """The chosen samples, in their order."""
    second = None if texts.second is None else list(compress(texts.second, chosen))
    return Texts(list(compress(texts.first, chosen)), second, texts.labels[chosen])
