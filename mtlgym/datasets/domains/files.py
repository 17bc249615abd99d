"""Precomputed features of one domain, read from a file: `.mat`, `.npz` or `.npy`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.datasets.formats import mat
from mtlgym.datasets.formats.arrays import DAMAGE, kept_digest, verify

FEATURES = ("feas", "fts", "features")  # keys in a file, in small letters or capitals
LABELS = ("label", "labels")
CLASSES = "classes"
LABEL_FILES = ("{}_labels.npy", "{}.labels.npy")  # beside `.npy` features
LARGEST = 2**31  # that labels lie below, and above its negative


@dataclass(frozen=True, eq=False)
class DomainSamples:
    """The samples of one domain.

    Attributes:
        features: (samples, width).
        labels: places in `classes`, (samples,).
        classes: their names; where a file has none, its distinct labels in ascending order.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


def read(path: Path) -> DomainSamples:
    """The samples in a file of features.

    A `.mat` or `.npz` holds `feas`, `fts` or `features`, (samples, width), and `label` or
    `labels`, (samples,), (samples, 1) or (1, samples), whole numbers. A `.npz` may have `classes`,
    their names, of which the labels are then places from 0. A `.npy` holds the features, and
    `<stem>_labels.npy` or `<stem>.labels.npy` beside it the labels. Pickles are never read.

    Raises:
        ValueError: if it is damaged or holds something else; names the file and what is expected.
        FileNotFoundError: if it, or a `.npy` file's labels, are missing.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path} must end in {', '.join(SUFFIXES)}, not {path.suffix!r}")
    parts = [_whole(each, READERS[suffix]) for each in files(path)]
    if suffix == ".npy":
        return _samples(path, dict(zip((FEATURES[-1], LABELS[-1]), parts, strict=True)))
    return _samples(path, parts[0])


def read_checked(path: Path) -> DomainSamples:
    """The samples in a `.npz` file that has its SHA-256 in a file `.sha256` beside it.

    Raises:
        ValueError: if it is damaged, was not written to the end or holds something else; names it.
    """
    beside = path.with_name(f"{path.name}.sha256")
    if not beside.is_file():
        raise ValueError(f"{path} was not written to the end: {beside.name} beside it is missing")
    verify(path, kept_digest(beside))
    return read(path)


def files(path: Path) -> tuple[Path, ...]:
    """All files that `read` reads for a domain: this one, and the labels beside a `.npy`.

    Raises:
        FileNotFoundError: if there are no labels beside a `.npy`; says how they may be called.
    """
    if path.suffix.lower() != ".npy":
        return (path,)
    names = [each.format(path.stem) for each in LABEL_FILES]
    there = [path.with_name(name) for name in names if path.with_name(name).is_file()]
    if not there:
        raise FileNotFoundError(f"{path} needs its labels beside it, in {' or '.join(names)}")
    return path, there[0]


def _whole(path: Path, reader: Callable[[Path], Any]) -> Any:
    """The arrays that the reader of a file's format returns.

    Raises:
        ValueError: if the file is damaged; names it, and repeats no advice to read pickles.
        FileNotFoundError: if it is missing.
    """
    try:
        return reader(path)
    except FileNotFoundError:  # says itself what is missing
        raise
    except DAMAGE as error:
        advises = "allow_pickle" in str(error)
        said = "it has no arrays, or has pickles, which are never read" if advises else error
        text = f"{path} is damaged, or no {path.suffix.lower()} file of arrays"
        raise ValueError(f"{text}: {said}") from error


def _mat(path: Path) -> dict[str, Any]:
    found = mat.read(path, {name for each in (*FEATURES, *LABELS) for name in (each, each.upper())})
    return {name.lower(): array for name, array in found.items()}


def _npz(path: Path) -> dict[str, Any]:
    with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("it is a single array")
        wanted = {*FEATURES, *LABELS, CLASSES}
        return {name.lower(): file[name] for name in file.files if name.lower() in wanted}


def _npy(path: Path) -> Any:
    with path.open("rb") as content:
        return np.load(content, allow_pickle=False)


READERS: dict[str, Callable[[Path], Any]] = {".mat": _mat, ".npz": _npz, ".npy": _npy}
SUFFIXES = tuple(READERS)


def _samples(path: Path, arrays: Mapping[str, Any]) -> DomainSamples:
    """The samples in a file's arrays, after checks."""
    features, labels = _one(path, arrays, FEATURES), _labels(path, _one(path, arrays, LABELS))
    if features.ndim != 2 or features.dtype.kind not in "iuf" or not features.size:
        wanted = "numbers, (samples, width)"
        raise ValueError(f"features of {path} must be {wanted}, not {_form(features)}")
    if len(labels) != len(features):
        raise ValueError(
            f"{path} must have a label for each of {len(features)} samples, not {len(labels)}"
        )
    if CLASSES in arrays:
        names = arrays[CLASSES]
        if names.ndim != 1 or names.dtype.kind != "U":
            raise ValueError(f"`{CLASSES}` of {path} must be strings, not {_form(names)}")
        if labels.min() < 0 or labels.max() >= len(names):
            text = f"lie in [0, {len(names)}), as it has so many `{CLASSES}`"
            raise ValueError(
                f"labels of {path} must {text}, not from {labels.min()} to {labels.max()}"
            )
        classes = tuple(str(each) for each in names)
    else:
        distinct, labels = np.unique(labels, return_inverse=True)
        classes = tuple(str(each) for each in distinct)
    with np.errstate(over="ignore"):  # what becomes infinite is refused with the other features
        features = np.require(features, np.float32, ["C", "W"])
    return DomainSamples(features, labels.astype(np.int64), classes)


def _one(path: Path, arrays: Mapping[str, Any], names: tuple[str, ...]) -> NDArray[Any]:
    """The array under one of the names."""
    found = [name for name in names if name in arrays]
    if len(found) != 1 or not isinstance(arrays[found[0]], np.ndarray):
        text = f"exactly one dense array called {', '.join(names[:-1])} or {names[-1]}"
        raise ValueError(f"{path} must have {text}, not {found or 'none'}")
    return arrays[found[0]]


def _labels(path: Path, labels: NDArray[Any]) -> NDArray[np.int64]:
    """The labels as whole numbers, (samples,)."""
    flat = labels.ravel()
    sound = labels.size == max(labels.shape, default=0) and labels.dtype.kind in "iuf"
    if not sound or not labels.size:
        wanted = "whole numbers, (samples,) or (samples, 1)"
        raise ValueError(f"labels of {path} must be {wanted}, not {_form(labels)}")
    with np.errstate(over="ignore"):  # float16 takes the ends for infinite
        inside = (flat > -LARGEST) & (flat < LARGEST)
    wrong = np.flatnonzero(~(inside & (flat == np.rint(flat))))
    if len(wrong):
        text = f"whole numbers above -{LARGEST} and below {LARGEST}"
        raise ValueError(f"labels of {path} must be {text}, not {flat[wrong[0]]}")
    return flat.astype(np.int64)


def _form(array: NDArray[Any]) -> str:
    return f"{array.dtype} {array.shape}"
