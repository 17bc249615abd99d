"""Where a data set comes from: real files if they are there, else data that ship with mtlgym."""

import json
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np

from mtlgym.datasets.catalogue import DATASETS, Dataset, root
from mtlgym.datasets.formats.arrays import read_arrays, verify
from mtlgym.lookup import lookup, unknown

__all__ = [
    "DATASETS",
    "EMBEDDED",
    "MODES",
    "Dataset",
    "Source",
    "Status",
    "choose",
    "embedded",
    "embedded_file",
    "find",
    "root",
    "status",
]

EMBEDDED = Path(__file__).parent / "embedded"
MODES = ("auto", "real", "embedded")


@dataclass(frozen=True)
class Source:
    """Which data were loaded.

    Attributes:
        name: of the data set, a key of `DATASETS`.
        kind: "real" for the benchmark's own files, "embedded" for what ships with mtlgym.
        path: of what was read.
        sha256: hexadecimal digest of what was read; the loaders of large sets say what it covers.
    """

    name: str
    kind: Literal["real", "embedded"]
    path: Path
    sha256: str


@dataclass(frozen=True)
class Status:
    """What can be had of a data set now.

    Attributes:
        name: a key of `DATASETS`.
        real: where the real files are, or None.
        remedy: how to get the real files.
        embedded: the file that stands in for them; the name of what does if it is no file.
        damage: what is wrong with that file; empty if its SHA-256 is right.
    """

    name: str
    real: Path | None
    remedy: str
    embedded: Path | str
    damage: str


def find(name: str) -> Path | None:
    """The folder of a data set's real files, or of the installed package; None without either.

    Raises:
        ValueError: for a name that is no key of `DATASETS`.
    """
    dataset = lookup(DATASETS, name, "data set")
    if any(
        all(any(dataset.folder.glob(file)) for file in files)
        for files in (dataset.files, *dataset.others)
    ):
        return dataset.folder
    spec = find_spec(dataset.package) if dataset.package else None
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def choose(data: str, name: str) -> Path | None:
    """Where the real files are, or None if the embedded set is to be used.

    Args:
        data: "auto" takes the real files if they are there, else the embedded set with one
            UserWarning; "real" insists on the real files; "embedded" looks for nothing.
        name: of the data set, a key of `DATASETS`.

    Raises:
        ValueError: for another mode or name.
        FileNotFoundError: for "real" without the files; says where and how to get them.
    """
    if data not in MODES:
        raise ValueError(unknown(data, MODES, "`data`"))
    dataset = lookup(DATASETS, name, "data set")
    if data == "embedded":
        return None
    found = find(name)
    if found is None:
        missing = f"no real {name} in {dataset.folder} (wanted: {', '.join(dataset.files)})."
        if data == "real":
            raise FileNotFoundError(f"{missing} {dataset.remedy}")
        text = f"{missing} Using the embedded {dataset.embedded}, not the full benchmark."
        warnings.warn(f"{text} {dataset.remedy}", UserWarning, stacklevel=3)
    return found


def embedded(name: str, folder: Path = EMBEDDED) -> tuple[dict[str, np.ndarray], Source]:
    """The arrays that ship with mtlgym in place of a data set, once their SHA-256 is checked.

    Not for sets whose stand-in is `rendered`, or is no file of arrays.
    """
    path, digest = embedded_file(name, folder)
    return read_arrays(path, digest), Source(name, "embedded", path, digest)


def embedded_file(name: str, folder: Path = EMBEDDED) -> tuple[Path, str]:
    """The file that ships with mtlgym in place of a data set, and the SHA-256 that it must have."""
    path = folder / lookup(DATASETS, name, "data set").embedded
    return path, _published(path)


def status(name: str, folder: Path = EMBEDDED) -> Status:
    """What can be had of a data set now; reads the embedded file to check it."""
    dataset = lookup(DATASETS, name, "data set")
    if dataset.rendered:
        return Status(name, find(name), dataset.remedy, dataset.embedded, "")
    path, damage = folder / dataset.embedded, ""
    try:
        verify(path, _published(path))
    except (OSError, ValueError) as error:
        damage = str(error)
    return Status(name, find(name), dataset.remedy, path, damage)


def _published(path: Path) -> str:
    """The SHA-256 that `checksums.json`, beside the file, gives for it."""
    table = json.loads(path.with_name("checksums.json").read_text())
    return str(lookup(table, path.name, "embedded file")["sha256"])
