"""GLUE as parquet files, one folder for each task, as in `nyu-mll/glue` on the Hugging Face hub."""

from pathlib import Path
from typing import Any

from mtlgym.datasets.glue.rows import PARTS, GlueRows, places, texts
from mtlgym.datasets.texts import Texts, TextTask

LABEL = "label"  # class index, or score; -1 where it is secret
COLUMNS = {  # of the texts
    "cola": ("sentence",),
    "mnli": ("premise", "hypothesis"),
    "mrpc": ("sentence1", "sentence2"),
    "qnli": ("question", "sentence"),
    "qqp": ("question1", "question2"),
    "rte": ("sentence1", "sentence2"),
    "sst2": ("sentence",),
    "stsb": ("sentence1", "sentence2"),
}


def wanted(task: str, part: str) -> str:
    """The files of a task's "train" or "dev" set, in GLUE's folder."""
    dev = "validation_matched" if task == "mnli" else "validation"
    return f"{task}/{dev if part == 'dev' else part}-*.parquet"


def find(folder: Path, task: str) -> dict[str, list[Path]]:
    """The files of a task by "train" and "dev", without missing ones.

    Where a name says of how many files it is one, all of them are given: a download that was cut
    short shall not pass for a smaller set.
    """
    patterns = {part: Path(wanted(task, part)).name for part in PARTS}
    found = [
        {part: _all(some) for part, name in patterns.items() if (some := sorted(place.glob(name)))}
        for place in places(folder, task)
    ]
    return max(found, key=len, default={})


def read(path: Path, task: TextTask) -> Texts:
    """The samples of a file, in its order.

    Raises:
        ImportError: without pyarrow; names the extra that brings it.
        FileNotFoundError: if the file is not there.
        ValueError: for a file that is damaged, lacks a column or has no samples, and for a row
            without a text or with an unknown label; names the file and the row.
    """
    rows = list(zip(*_columns(path, (*COLUMNS[task.name], LABEL)), strict=True))
    for number, row in enumerate(rows):
        if not all(isinstance(text, str) for text in row[:-1]):
            raise ValueError(f"{path}, row {number}: must hold texts, not {row[:-1]}")
    numbers = range(len(rows))
    return texts(GlueRows(path, "row", numbers, rows), task, range(len(task.labels)))


def _columns(path: Path, names: tuple[str, ...]) -> list[list[Any]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        text = f'pyarrow is needed to read {path}: pip install "mtlgym[glue]"'
        raise ImportError(text) from error
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing. Get it again.")
    try:
        with parquet.ParquetFile(path) as file:
            found = file.schema_arrow.names
            for name in names:
                if name not in found:
                    raise ValueError(f"{path} must have a column {name!r}; it has {found}")
            table = file.read(columns=list(names))
            return [table.column(name).to_pylist() for name in names]
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}. Get it again.") from error


def _all(found: list[Path]) -> list[Path]:
    """The files that there must be, by the first one's name `PART-00000-of-00002.parquet`."""
    stem, _, count = found[0].stem.rpartition("-of-")
    if not (stem and count.isdigit()):
        return found
    part = stem.rpartition("-")[0]
    return [found[0].with_name(f"{part}-{i:05d}-of-{count}.parquet") for i in range(int(count))]
