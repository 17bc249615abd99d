"""CIFAR-100's superclasses as tasks, each with its own classes of small photographs.

Source: Krizhevsky (2009), "Learning multiple layers of features from tiny images"; as tasks in
Rosenbaum, Klinger, Riemer (ICLR 2018), https://arxiv.org/abs/1711.01239.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.datasets import sources, validation_split
from mtlgym.datasets.formats import unpickle
from mtlgym.datasets.formats.arrays import sha256
from mtlgym.datasets.images.image_tasks import ImageData, ImageTasks, by_groups, take

__all__ = ["digest", "load", "verify"]

FILES = ("train", "test", "meta")
PLACES = ("cifar-100-python", ".")  # in the folder; the first with all files is read
SEED = 20180430  # of the choice of the validation images
SHAPE = (3, 32, 32)  # of the pixels in a row


@dataclass(frozen=True)
class Names:
    """The content of the file `meta`.

    Attributes:
        coarse: of the superclasses.
        fine: of the classes.
    """

    coarse: tuple[str, ...]
    fine: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ImageFile:
    """The content of a file of images.

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


def read_names(path: Path) -> Names:
    """The names of the superclasses and classes.

    Raises:
        ValueError: for a damaged file; names it.
    """
    entries = _entries(path)
    return Names(*(_names(path, entries, f"{kind}_label_names") for kind in ("coarse", "fine")))


def read_images(path: Path, known: Names) -> ImageFile:
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
    return ImageFile(path, pixels, fine, superclass)


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


def load(
    folder: Path, tasks: int | Sequence[str] | None = None, validation: float = 0.1
) -> ImageData:
    """Load the images of each superclass, as "train", "val" and "test".

    "test" is the test file, and "val" a share of each class's images in the training file, the
    same ones every time. A label is the class's rank within its superclass.

    Differs from code that takes the class modulo 5 as the label, in that every superclass has 5
    labels, which is not so with that rule.

    Args:
        folder: with the files `train`, `test` and `meta`, or with a folder `cifar-100-python` of
            them, as the Python version of CIFAR-100 has it.
        tasks: names of superclasses, such as `aquatic_mammals`, or how many of the first; all 20
            by default.
        validation: share of a class's training images that is held out, above 0 and below 1.

    Raises:
        ValueError: for other tasks, another share, or a damaged file; names the file.
        FileNotFoundError: if a file is missing; names it, and how to get it.
    """
    checks.share("validation", validation)
    names, train, test = _read(folder)
    groups = [
        np.flatnonzero(train.superclass == each).tolist() for each in range(len(names.coarse))
    ]
    try:
        held = validation_split.by_class(train.fine, validation, SEED)
    except ValueError as error:
        raise ValueError(f"{train.path}: {error}") from error
    whole = by_groups(train.pixels, train.fine, groups)  # in the file's order
    splits = {
        "train": _chosen(whole, ~held),
        "val": _chosen(whole, held),
        "test": by_groups(test.pixels, test.fine, groups),
    }
    classes = tuple(tuple(names.fine[each] for each in group) for group in groups)
    return take(ImageData(names.coarse, classes, splits), tasks)


def digest(folder: Path) -> str:
    """The SHA-256 of the three files' names and SHA-256s.

    Raises:
        FileNotFoundError: if a file is missing; names it, and how to get it.
    """
    text = "".join(f"{name} {sha256(path)}\n" for name, path in _files(folder).items())
    return hashlib.sha256(text.encode()).hexdigest()


def verify(folder: Path) -> None:
    """Read the three files.

    Raises:
        ValueError: for the first file that is damaged; names it.
        FileNotFoundError: if a file is missing; names it, and how to get it.
    """
    _read(folder)


def _files(folder: Path) -> dict[str, Path]:
    for place in PLACES:
        found = {name: folder / place / name for name in FILES}
        if all(path.is_file() for path in found.values()):
            return found
    name = next(name for name in FILES if not (folder / PLACES[0] / name).is_file())
    text = f"CIFAR-100 needs {', '.join(FILES)} in {folder / PLACES[0]}, or in {folder} itself"
    raise FileNotFoundError(f"{text}; {name} is missing. {sources.DATASETS['cifar100'].remedy}")


def _read(folder: Path) -> tuple[Names, ImageFile, ImageFile]:
    """The names, and the content of both files of images."""
    paths = _files(folder)
    names = read_names(paths["meta"])
    train, test = (read_images(paths[part], names) for part in ("train", "test"))
    wrong = np.flatnonzero(test.superclass != train.superclass)
    if len(wrong):
        both = [names.coarse[each.superclass[wrong[0]]] for each in (train, test)]
        text = f"{names.fine[wrong[0]]!r} is in the superclass {both[0]!r} in {train.path}"
        raise ValueError(f"{text}, but in {both[1]!r} in {test.path}")
    for number, name in enumerate(names.coarse):
        if number not in train.superclass:
            raise ValueError(f"{train.path} has no image of {name!r}")
    return names, train, test


def _chosen(split: ImageTasks, chosen: NDArray[np.bool_]) -> ImageTasks:
    """The chosen samples, in their order."""
    return ImageTasks(split.images, split.index[chosen], split.task[chosen], split.label[chosen])
