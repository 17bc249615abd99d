"""The files of CIFAR-100's Python version: pickled dicts of labels and rows of pixels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.datasets.formats import unpickle

SHAPE = (3, 32, 32)  # of the pixels in a row


@dataclass(frozen=True)
class Names:
    """What the file `meta` holds.

    Attributes:
        coarse: of the superclasses.
        fine: of the classes.
    """

    coarse: tuple[str, ...]
    fine: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Images:
    """What a file of images holds.

    Attributes:
        path: the file's.
        pixels: (images, 32, 32, 3), uint8.
        fine: each image's class, (images,).
        superclass: of each class, (classes,).
    """

    path: Path
    pixels: NDArray[np.uint8]
    fine: NDArray[np.int64]
    superclass: NDArray[np.int64]


def names(path: Path) -> Names:
    """The names of the superclasses and classes.

    Raises:
        ValueError: for a damaged file; names it.
    """
    entries = _entries(path)
    return Names(*(_names(path, entries, f"{kind}_label_names") for kind in ("coarse", "fine")))


def images(path: Path, known: Names) -> Images:
    """The images of a file, at least one of each class.

    Raises:
        ValueError: for a damaged file, a class without an image or one in two superclasses; names
            the file.
    """
    entries = _entries(path)
    pixels = _pixels(path, entries)
    fine = _labels(path, entries, "fine_labels", len(pixels), known.fine)
    coarse = _labels(path, entries, "coarse_labels", len(pixels), known.coarse)
    superclass = np.full(len(known.fine), -1)
    superclass[fine] = coarse
    if superclass.min() < 0:
        raise ValueError(f"{path} has no image of {known.fine[superclass.argmin()]!r}")
    wrong = np.flatnonzero(superclass[fine] != coarse)
    if len(wrong):
        name = known.fine[fine[wrong[0]]]
        raise ValueError(f"{path} has images of {name!r} in two superclasses")
    return Images(path, pixels, fine, superclass)


def _entries(path: Path) -> dict[str, Any]:
    return {_text(key): value for key, value in unpickle.load(path).items()}


def _entry(path: Path, entries: dict[str, Any], key: str) -> Any:
    if key not in entries:
        raise ValueError(f"{path} must have an entry {key!r}; it has {', '.join(sorted(entries))}")
    return entries[key]


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _names(path: Path, entries: dict[str, Any], key: str) -> tuple[str, ...]:
    found = _entry(path, entries, key)
    if not isinstance(found, list) or not all(isinstance(each, str | bytes) for each in found):
        raise ValueError(f"{key!r} of {path} must be a list of names")
    texts = tuple(_text(each) for each in found)
    if not texts or len(set(texts)) < len(texts):
        raise ValueError(f"{key!r} of {path} must have a name or more, each once")
    return texts


def _pixels(path: Path, entries: dict[str, Any]) -> NDArray[np.uint8]:
    rows, columns = _entry(path, entries, "data"), int(np.prod(SHAPE))
    if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8:
        raise ValueError(f"'data' of {path} must be an array of uint8")
    if rows.ndim != 2 or rows.shape[1] != columns or not len(rows):
        raise ValueError(f"'data' of {path} must be (images, {columns}), not {rows.shape}")
    return np.ascontiguousarray(rows.reshape(-1, *SHAPE).transpose(0, 2, 3, 1))


def _labels(
    path: Path, entries: dict[str, Any], key: str, count: int, known: tuple[str, ...]
) -> NDArray[np.int64]:
    found = _entry(path, entries, key)
    if not isinstance(found, list) or len(found) != count:
        raise ValueError(f"{key!r} of {path} must be a list of {count} labels, one an image")
    for index, each in enumerate(found):
        if type(each) is not int or not 0 <= each < len(known):
            allowed = f"an integer from 0 to {len(known) - 1}"
            raise ValueError(f"label {index} in {key!r} of {path} must be {allowed}, not {each!r}")
    return np.array(found, np.int64)
