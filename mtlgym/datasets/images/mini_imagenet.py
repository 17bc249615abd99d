"""Mini-ImageNet as ten tasks of five random classes each: photographs of 84 x 84 pixels.

Source: Vinyals et al. (NeurIPS 2016), https://arxiv.org/abs/1606.04080, in the lists of Ravi and
Larochelle (ICLR 2017); as tasks in Rosenbaum, Klinger, Riemer (ICLR 2018),
https://arxiv.org/abs/1711.01239.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.datasets import sources, validation_split
from mtlgym.datasets.formats.image_cache import SUFFIXES, cached, decode, listing
from mtlgym.datasets.images.image_tasks import SPLITS, ImageData, ImageTasks

__all__ = ["TASKS", "digest", "load", "verify"]

TASKS = tuple(f"task_{number}" for number in range(10))
CLASSES = 5  # of a task
SIDE = 84  # pixels
SEED = 20180432  # of the draws of the tasks' classes and of the training images
PARTS = ("train", "val", "test")
COLUMNS = ["filename", "label"]


def find(folder: Path) -> dict[str, list[Path]]:
    """The images of each class, both in sorted order.

    They are read from the lists `train.csv`, `val.csv` and `test.csv` beside a folder `images`, if
    there is one of them; else from `{train,val,test}/<class>`, if there is `train`; else from
    `<class>`.

    Raises:
        ValueError: for a list of another form, a file that is listed twice, or a class without
            images; names it.
        FileNotFoundError: if there is no image, or a list or listed file is missing; names it.
    """
    if any((folder / f"{part}.csv").exists() for part in PARTS):
        pairs = list(_listed(folder))
    elif (folder / PARTS[0]).is_dir():
        pairs = [pair for part in PARTS for pair in _in_folders(folder / part)]
    else:
        pairs = list(_in_folders(folder))
    found: dict[str, list[Path]] = {}
    for label, path in pairs:
        found.setdefault(label, []).append(path)
    if not found:
        text = f"no image in {folder}. {sources.DATASETS['mini_imagenet'].remedy}"
        raise FileNotFoundError(text)
    return {label: sorted(found[label]) for label in sorted(found)}


def _in_folders(folder: Path) -> Iterator[tuple[str, Path]]:
    """Class and path of each image in the folder's folders."""
    if not folder.is_dir():
        return
    for place in folder.iterdir():
        if place.is_dir() and not place.name.startswith("."):
            images = [path for path in place.iterdir() if path.suffix.lower() in SUFFIXES]
            if not images:
                raise ValueError(f"the class {place.name!r} has no image in {place}")
            yield from ((place.name, path) for path in images)


def _listed(folder: Path) -> Iterator[tuple[str, Path]]:
    """Class and path of each image in the lists."""
    first: dict[str, str] = {}
    for part in PARTS:
        path = folder / f"{part}.csv"
        for number, (name, label) in _rows(path):
            image, where = folder / "images" / name, f"{path}, line {number}"
            if name in first:
                raise ValueError(f"{where}: {name} is listed before, in {first[name]}")
            if not image.is_file():
                raise FileNotFoundError(f"{where}: {image} is missing")
            first[name] = where
            yield label, image


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each row of a list below its header."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing. {sources.DATASETS['mini_imagenet'].remedy}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            for row in reader:
                if reader.line_num == 1 and row != COLUMNS:
                    raise ValueError(f"line 1 must be {','.join(COLUMNS)}, not {','.join(row)}")
                if row and (len(row) != len(COLUMNS) or not all(row)):
                    raise ValueError(f"line {reader.line_num} must be a file's name and a label")
                if row and reader.line_num > 1:
                    yield reader.line_num, row
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} is damaged, or no such list: {error}") from error


def load(
    folder: Path,
    tasks: int | Sequence[str] | None = None,
    validation: float = 0.1,
    train: int = 800,
    test: int = 50,
) -> ImageData:
    """Load images of ten times five classes, as "train", "val" and "test".

    The classes are drawn from all classes in the folder, in sorted order, and no class is in two
    tasks. Of each class, images for test are drawn first and those for training from the rest, of
    which the share `validation` is "val". All draws are the same every time. Images are cut to the
    square in their middle. They are decoded once, and kept in the folder.

    The sizes are the paper's as far as is known. Differs from it in that a class with fewer images
    trains on those that are not drawn for test: mini-ImageNet has 600 of each, so 550.

    Args:
        folder: with the lists `train.csv`, `val.csv` and `test.csv` (columns `filename` and
            `label`) and a folder `images`; or with a folder of images a class, below `train`, `val`
            and `test` or without these. All are pooled.
        tasks: which of `TASKS`, or how many of the first; all by default.
        validation: share of a class's training images that is held out, above 0 and below 1.
        train: most images of a class for training and validation.
        test: images of a class for test.

    Raises:
        ValueError: for other tasks, another share or number, less than 50 classes, a class with too
            few images, or a damaged file; names it.
        FileNotFoundError: if there is no image or a listed one is missing; names it.
        OSError: if the decoded images cannot be kept.
    """
    checks.share("validation", validation)
    checks.integer("train", train, 2)
    checks.integer("test", test, 1)
    chosen = checks.some_tasks(tasks, TASKS)
    found = find(folder)
    drawn = _classes(folder, sorted(found))
    classes = tuple(drawn[TASKS.index(task)] for task in chosen)
    counts = {name: len(found[name]) for names in classes for name in names}
    indices = _indices(folder, counts, validation, train, test)
    paths = [path for name in counts for path in found[name]]
    images = cached(folder, paths, SIDE)
    splits = {split: _samples(images, indices[split]) for split in SPLITS}
    return ImageData(chosen, classes, splits)


def digest(folder: Path) -> str:
    """The SHA-256 of the images' names and sizes, of all classes.

    The contents are left out, as they are gigabytes.

    Raises:
        ValueError: for a damaged list, or a class without images; names it.
        FileNotFoundError: if there is no image or a listed one is missing; names it.
    """
    return listing(folder, [path for paths in find(folder).values() for path in paths])


def verify(folder: Path) -> None:
    """Decode every image, of all classes.

    Raises:
        ValueError: for the first list or image that is damaged; names it.
        FileNotFoundError: if there is no image or a listed one is missing; names it.
    """
    for paths in find(folder).values():
        for path in paths:
            decode(path, SIDE)


def _classes(folder: Path, names: Sequence[str]) -> list[tuple[str, ...]]:
    """The classes of each of `TASKS`, drawn from those names."""
    wanted = len(TASKS) * CLASSES
    if len(names) < wanted:
        raise ValueError(f"{folder} must have images of {wanted} classes, not of {len(names)}")
    drawn = np.random.default_rng(SEED).permutation(len(names))[:wanted].reshape(-1, CLASSES)
    return [tuple(names[each] for each in row) for row in drawn]


def _indices(
    folder: Path, counts: Mapping[str, int], validation: float, train: int, test: int
) -> dict[str, list[NDArray[np.int64]]]:
    """By split, each class's positions among all images, ordered by class."""
    indices: dict[str, list[NDArray[np.int64]]] = {split: [] for split in SPLITS}
    start = 0
    for name, count in counts.items():
        if count < test + 2:
            least = f"{test + 2} are needed, {test} for test"
            raise ValueError(f"the class {name!r} has {count} images in {folder}; {least}")
        order = start + np.random.default_rng([SEED, *name.encode()]).permutation(count)
        rest = order[test : test + train]
        held = validation_split.count(len(rest), validation)
        indices["train"].append(np.sort(rest[held:]))
        indices["val"].append(np.sort(rest[:held]))
        indices["test"].append(np.sort(order[:test]))
        start += count
    return indices


def _samples(images: NDArray[np.uint8], indices: Sequence[NDArray[np.int64]]) -> ImageTasks:
    """The samples of each class in turn, `CLASSES` of them a task."""
    of = np.repeat(np.arange(len(indices)), [len(each) for each in indices])
    return ImageTasks(images, np.concatenate(indices), of // CLASSES, of % CLASSES)
