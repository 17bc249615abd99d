"""MNIST's digits as ten tasks: is an image of the digit, or of another one?

Source: LeCun, Bottou, Bengio, Haffner (1998), "Gradient-based learning applied to document
recognition"; as tasks in Rosenbaum, Klinger, Riemer (ICLR 2018), https://arxiv.org/abs/1711.01239.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.datasets import sources, validation_split
from mtlgym.datasets.formats import idx
from mtlgym.datasets.formats.arrays import sha256
from mtlgym.datasets.images.image_tasks import ImageData, ImageTasks, one_against_rest, take

__all__ = ["TASKS", "digest", "load", "verify"]

TASKS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PARTS = {"train": "train", "test": "t10k"}
KINDS = {"images": 3, "labels": 1}  # the dimensions
SIDE = 28  # pixels
SEED = 20180431  # of which images are held out, and which are a task's


def load(
    folder: Path,
    tasks: int | Sequence[str] | None = None,
    validation: float = 0.1,
    positives: int = 1000,
    negatives: int = 1000,
    test_positives: int = 20,
    test_negatives: int = 20,
) -> ImageData:
    """Samples of ten tasks of two classes, as "train", "val" and "test".

    The share `validation` of each digit's images is set aside, and the same share of a task's
    training samples is drawn from there as "val"; so no image of one task's "val" is another
    task's for training. "test" is drawn from the test files. The same samples are drawn every
    time. Whoever always answers "other" is right in 90 % of the samples.

    The sizes are the paper's as far as is known.

    Args:
        folder: with MNIST's four files, by their usual names, gzipped or not.
        tasks: names of digits, such as `three`, or how many of the first; all by default.
        validation: share of the training samples that is held out, above 0 and below 1.
        positives: samples of its own digit that a task has for training and validation.
        negatives: of each other digit.
        test_positives: samples of its own digit that a task has for test.
        test_negatives: of each other digit.

    Raises:
        ValueError: for other tasks, another share or number, a digit with too few images, or a
            damaged file; names the file.
        FileNotFoundError: if a file is missing; names it, and how to get it.
    """
    checks.share("validation", validation)
    for name, value in (("positives", positives), ("negatives", negatives)):
        checks.integer(name, value, 2)  # one is held out
    for name, value in (("test_positives", test_positives), ("test_negatives", test_negatives)):
        checks.integer(name, value, 1)
    paths = _files(folder)
    images, labels = _read(paths, "train", max(positives, negatives))
    held = validation_split.by_class(labels, validation, SEED)
    of_val = [validation_split.count(each, validation) for each in (positives, negatives)]
    of_train = [positives - of_val[0], negatives - of_val[1]]
    splits = {
        "train": _draw(images[~held], labels[~held], of_train, 0),
        "val": _draw(images[held], labels[held], of_val, 1),
    }
    images, labels = _read(paths, "test", max(test_positives, test_negatives))
    splits["test"] = _draw(images, labels, [test_positives, test_negatives], 2)
    return take(ImageData(TASKS, tuple(("other", task) for task in TASKS), splits), tasks)


def digest(folder: Path) -> str:
    """The SHA-256 of the four files' kinds and SHA-256s; a gzipped file has another SHA-256.

    Raises:
        FileNotFoundError: if a file is missing; names it, and how to get it.
    """
    files = _files(folder).items()
    text = "".join(f"{part} {kind} {sha256(path)}\n" for (part, kind), path in files)
    return hashlib.sha256(text.encode()).hexdigest()


def verify(folder: Path) -> None:
    """Read the four files.

    Raises:
        ValueError: for the first file that is damaged; names it.
        FileNotFoundError: if a file is missing; names it, and how to get it.
    """
    paths = _files(folder)
    for part in PARTS:
        _read(paths, part, 1)


def _files(folder: Path) -> dict[tuple[str, str], Path]:
    """The paths by part and kind; where there are several, a file that is not gzipped is read."""
    found = {}
    for part, start in PARTS.items():
        for kind, dimensions in KINDS.items():
            names = [
                f"{start}-{kind}{mark}idx{dimensions}-ubyte{end}"
                for end in ("", ".gz")
                for mark in "-."
            ]
            there = [folder / name for name in names if (folder / name).is_file()]
            if not there:
                text = f"MNIST needs {' or '.join(names)} in {folder}."
                raise FileNotFoundError(f"{text} {sources.DATASETS['mnist'].remedy}")
            found[part, kind] = there[0]
    return found


def _read(
    paths: dict[tuple[str, str], Path], part: str, least: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The images, (images, 28, 28, 1), and digits, (images,), of a part."""
    of_images, of_labels = (paths[part, kind] for kind in KINDS)
    images, labels = idx.read(of_images, None, SIDE, SIDE), idx.read(of_labels, None)
    if len(images) != len(labels):
        counts = f"{len(images)} images, but {of_labels} has {len(labels)} labels"
        raise ValueError(f"{of_images} has {counts}")
    if labels.max() >= len(TASKS):
        raise ValueError(f"{of_labels} must hold digits from 0 to 9, not {labels.max()}")
    counts = np.bincount(labels, minlength=len(TASKS)).tolist()
    for name, count in zip(TASKS, counts, strict=True):
        if count < least:
            raise ValueError(f"{of_images} has {count} images of {name!r}; {least} are needed")
    return images[..., None], labels.astype(np.int64)


def _draw(
    images: NDArray[np.uint8], labels: NDArray[np.int64], counts: Sequence[int], part: int
) -> ImageTasks:
    rng, digits = np.random.default_rng([SEED, part]), range(len(TASKS))
    return one_against_rest(images, labels, digits, counts[0], counts[1], rng)
