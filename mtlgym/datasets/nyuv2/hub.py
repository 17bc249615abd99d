"""NYUv2 in the columns of parquet files, as in `tanganke/nyuv2` on the Hugging Face hub.

Its rows have `image` (3, height, width), `segmentation` (height, width), `depth` (1, height, width)
and `normal` (3, height, width) as nested lists. They are converted once, to `.npy` files.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.datasets.nyuv2.files import KINDS, PARTS

COLUMNS = {  # the names that are known for a kind; the first is the mirror's
    "image": ("image", "rgb"),
    "label": ("segmentation", "label", "semantic"),
    "depth": ("depth",),
    "normal": ("normal", "normals"),
}
AXES = {"image": 3, "label": 2, "depth": 3, "normal": 3}
ROWS = 8  # in memory at a time


def convert(folder: Path) -> Path:
    """Write `folder`/data/*.parquet as `folder`/converted/{train,val}/... and return that folder.

    It takes minutes and 6 GB. The folder appears when it is complete: a conversion that is cut
    short leaves nothing that could be taken for one. Delete it to convert anew.

    Raises:
        ImportError: without pyarrow; names the extra that brings it.
        ValueError: for a file that is damaged or lacks the columns; names it.
    """
    target = folder / "converted"
    draft = folder / f".converted.{os.getpid()}.part"
    try:
        for part in PARTS:
            _write(draft / part, sorted((folder / "data").glob(f"{part}-*.parquet")))
        if not target.exists():  # another process may have been faster
            draft.replace(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def rows(path: Path) -> Iterator[dict[str, NDArray[Any]]]:
    """The frames in a parquet file, channels last, by kind.

    Raises:
        ImportError: without pyarrow; names the extra that brings it.
        ValueError: for a file that is damaged or lacks the columns; names it.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        text = f'pyarrow is needed to read {path}: pip install "mtlgym[nyuv2]"'
        raise ImportError(text) from error
    try:
        with parquet.ParquetFile(path) as file:
            columns = _columns(path, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=ROWS, columns=list(columns.values())):
                arrays = {
                    kind: array_of(path, name, batch.column(name), AXES[kind])
                    for kind, name in columns.items()
                }
                for i in range(len(batch)):
                    yield {kind: np.ascontiguousarray(each[i]) for kind, each in arrays.items()}
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}. Get it again.") from error


def array_of(path: Path, name: str, column: Any, axes: int) -> NDArray[Any]:
    """A column of nested lists as (rows, height, width) or (rows, height, width, channels).

    Raises:
        ValueError: if a value is missing or the lists are not of one shape; names file and column.
    """
    values, shape = getattr(column, "storage", column), [len(column)]
    for _ in range(axes):
        if values.null_count or not hasattr(values, "flatten"):
            break
        lengths = set(values.value_lengths().to_pylist())
        if len(lengths) > 1:
            raise ValueError(f"{path}: lists in column {name!r} differ in length: {lengths}")
        values = values.flatten()
        shape.append(lengths.pop() if lengths else 0)
    if values.null_count or len(shape) != axes + 1:
        raise ValueError(f"{path}: column {name!r} must hold {axes}-d arrays, none missing")
    array = values.to_numpy(zero_copy_only=False).reshape(shape)
    return np.moveaxis(array, 1, -1) if axes == 3 else array


def _write(folder: Path, paths: Sequence[Path]) -> None:
    for kind in KINDS:
        (folder / kind).mkdir(parents=True)
    frames = (frame for path in paths for frame in rows(path))
    for i, frame in enumerate(frames):
        for kind, array in frame.items():
            np.save(folder / kind / f"{i}.npy", array)


def _columns(path: Path, found: Sequence[str]) -> dict[str, str]:
    columns = {}
    for kind, names in COLUMNS.items():
        known = [name for name in names if name in found]
        if not known:
            raise ValueError(f"{path} must have a column {' or '.join(names)}; it has {found}")
        columns[kind] = known[0]
    return columns
