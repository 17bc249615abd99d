"""Files of arrays, checked by their SHA-256."""

import hashlib
import io
import re
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mtlgym.io.atomic import write_atomically

# The exceptions that NumPy's and our own readers raise for damaged files.
DAMAGE = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    LookupError,
    OverflowError,
    MemoryError,  # of a size that the file claims
    RuntimeError,  # of an encrypted member, or an unknown compression
    SyntaxError,  # of a `.npy` header that is no dictionary
    tokenize.TokenError,  # likewise
    zlib.error,
    zipfile.BadZipFile,
)


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def kept_digest(path: Path) -> str:
    """The SHA-256 that a file `.sha256` holds.

    Raises:
        ValueError: if it holds something else; names it.
        OSError: if it cannot be read.
    """
    found = path.read_bytes().strip()
    if not re.fullmatch(rb"[0-9a-f]{64}", found):
        raise ValueError(f"{path} is damaged: it must hold a SHA-256, not {found[:80]!r}")
    return found.decode()


def verify(path: Path, expected: str) -> None:
    """Raise a ValueError that names file, expected and found SHA-256 unless these two agree."""
    _compare(path, expected, sha256(path))


def read_arrays(path: Path, expected: str) -> dict[str, np.ndarray]:
    """The arrays of an npz file, read only if its bytes have the expected SHA-256; no pickles."""
    content = path.read_bytes()
    _compare(path, expected, hashlib.sha256(content).hexdigest())
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def write_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], compression: int = zipfile.ZIP_STORED
) -> str:
    """Write an npz file in one go and return its SHA-256: it is written atomically.

    Args:
        path: of the file.
        arrays: by name.
        compression: of its members, a constant of `zipfile`; `ZIP_LZMA` packs images best.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, array in arrays.items():  # NumPy's own writers have no LZMA
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())
    return hashlib.sha256(content.getvalue()).hexdigest()


def _compare(path: Path, expected: str, found: str) -> None:
    if found != expected:
        what = f"{path} is damaged: expected SHA-256 {expected}, found {found}."
        raise ValueError(f"{what} Delete it and get it again.")
