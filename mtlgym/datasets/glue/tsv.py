"""GLUE as tab-separated files, one folder for each task, as on https://gluebenchmark.com/tasks.

Quotes are plain characters and only a line feed ends a line: U+0085 and U+2028, which
`str.splitlines` breaks at, occur in texts.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from mtlgym.datasets.glue.rows import PARTS, GlueRows, places, texts
from mtlgym.datasets.texts import Texts, TextTask


@dataclass(frozen=True)
class TsvLayout:
    """The layout of a task's files.

    Attributes:
        folder: its name as GLUE spells it.
        columns: names of those of the texts, then of the label's.
        header: names of all columns, for files whose first line is a sample.
        dev: name of the dev set's file, without its suffix.
        lenient: whether lines that lack fields are left out, with a warning, and not refused.
    """

    folder: str
    columns: tuple[str, ...]
    header: tuple[str, ...] = ()
    dev: str = "dev"
    lenient: bool = False


LAYOUTS = {
    "cola": TsvLayout(
        "CoLA", ("sentence", "label"), header=("source", "label", "star", "sentence")
    ),
    "mnli": TsvLayout("MNLI", ("sentence1", "sentence2", "gold_label"), dev="dev_matched"),
    "mrpc": TsvLayout("MRPC", ("#1 String", "#2 String", "Quality")),
    "qnli": TsvLayout("QNLI", ("question", "sentence", "label")),
    # Some copies have a few questions with a line break in them, so that no piece has all fields.
    # The script that made the hub's tables drops these pieces too.
    "qqp": TsvLayout("QQP", ("question1", "question2", "is_duplicate"), lenient=True),
    "rte": TsvLayout("RTE", ("sentence1", "sentence2", "label")),
    "sst2": TsvLayout("SST-2", ("sentence", "label")),
    "stsb": TsvLayout("STS-B", ("sentence1", "sentence2", "score")),
}


def wanted(task: str, part: str) -> str:
    """The file of a task's "train" or "dev" set, in GLUE's folder."""
    layout = LAYOUTS[task]
    return f"{layout.folder}/{layout.dev if part == 'dev' else part}.tsv"


def find(folder: Path, task: str) -> dict[str, list[Path]]:
    """The files of a task by "train" and "dev", without missing ones."""
    names = {part: Path(wanted(task, part)).name for part in PARTS}
    found = [
        {part: [place / name] for part, name in names.items() if (place / name).is_file()}
        for place in places(folder, task)
    ]
    return max(found, key=len, default={})


def read(path: Path, task: TextTask) -> Texts:
    """The samples of a file, in its order.

    Raises:
        ValueError: for a file that is not UTF-8, lacks a column or has no samples, and for a line
            with a wrong number of columns or an unknown label; names the file and the line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:  # skips a byte-order mark
            rows = _rows(path, _whole(file), LAYOUTS[task.name])
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}. Get it again.") from error
    return texts(rows, task, task.labels)


def _rows(path: Path, lines: Iterable[str], layout: TsvLayout) -> GlueRows:
    numbered = enumerate(map(_fields, lines), start=1)
    header = layout.header or next(numbered, (1, ()))[1]
    pick = itemgetter(*_indices(path, header, layout.columns))
    numbers, samples, lacking = [], [], []
    for number, fields in numbered:
        if len(fields) == len(header):
            numbers.append(number)
            samples.append(pick(fields))
        elif layout.lenient and len(fields) < len(header):
            lacking.append(number)
        else:
            what = f"must have {len(header)} columns, not {len(fields)}"
            raise ValueError(f"{path}, line {number}: {what}")
    if lacking:
        what = f"left out {len(lacking)} lines that lack some of the {len(header)} columns"
        warnings.warn(f"{path}: {what}; the first is line {lacking[0]}", UserWarning, stacklevel=3)
    return GlueRows(path, "line", numbers, samples)


def _whole(lines: Iterable[str]) -> Iterator[str]:
    """The lines, but for empty ones at the end."""
    empty: list[str] = []
    for line in lines:
        if line.strip("\r\n"):
            yield from empty
            empty.clear()
            yield line
        else:
            empty.append(line)


def _fields(line: str) -> list[str]:
    return line.rstrip("\r\n").split("\t")


def _indices(path: Path, header: Sequence[str], columns: Sequence[str]) -> list[int]:
    for column in columns:
        if column not in header:
            known = ", ".join(header) or "none"
            raise ValueError(f"{path}, line 1: no column {column!r} in the header. Has: {known}.")
    return [header.index(column) for column in columns]
