"""JSON files with a checksum, written atomically: a changed byte is detected when reading."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtlgym.io.atomic import write_atomically

CHECKSUM = "sha256"


def digest(content: Any) -> str:
    """The SHA-256 of plain values, hexadecimal; independent of the order of keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write the values and, as the last key, their digest.

    Raises:
        OSError: if it cannot be written; the old file is untouched.
    """
    write_atomically(path, text(content))


def text(content: Mapping[str, Any]) -> bytes:
    """The bytes of the file with these values; a digest among them is replaced."""
    plain = json.loads(json.dumps(_bare(content)))  # as they are when they are read back
    return json.dumps({**plain, CHECKSUM: digest(plain)}, indent=1).encode() + b"\n"


def read(path: Path) -> dict[str, Any]:
    """Read a file written by `write`.

    Raises:
        ValueError: if the file is damaged; names it.
        FileNotFoundError: if there is no such file.
    """
    raw = path.read_bytes()
    try:
        content = json.loads(raw)
        sound = isinstance(content, dict) and raw == text(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: not JSON ({error}); delete it") from error
    if not sound:
        raise ValueError(f"{path} is damaged: it has another {CHECKSUM} than it says; delete it")
    return _bare(content)


def _bare(content: Mapping[str, Any]) -> dict[str, Any]:
    """The values without a digest."""
    return {key: value for key, value in content.items() if key != CHECKSUM}
