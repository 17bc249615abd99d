"""Logs of one JSON object a line: a crash can cut the last line, and damages no other."""

import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import Any


class Log:
    """Appends rows to a file; every row is on the disk when `write` returns.

    Attributes:
        size: bytes written; a continued run truncates the file to it.
    """

    def __init__(self, path: Path, size: int = 0, sha256: str = "") -> None:
        """Write from byte `size` on; the rest of the file is dropped.

        Args:
            path: of the file.
            size: bytes that stay.
            sha256: of these bytes, if known.

        Raises:
            ValueError: if the file is shorter, or these bytes were changed; names it.
        """
        path.touch()
        kept = path.read_bytes()[:size]
        if len(kept) < size:
            raise ValueError(f"{path} is cut short: {len(kept)} bytes, not {size}")
        self._hash = hashlib.sha256(kept)
        if sha256 not in ("", self.sha256):
            raise ValueError(f"{path} is damaged: its SHA-256 should be {sha256}")
        os.truncate(path, size)
        self._path = path
        self.size = size

    @property
    def sha256(self) -> str:
        """Of all bytes written, hexadecimal."""
        return self._hash.hexdigest()

    def write(self, row: dict[str, Any]) -> None:
        """Append one row; its numbers must be finite."""
        line = (json.dumps(row, allow_nan=False) + "\n").encode()
        try:
            with self._path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error
        self.size += len(line)
        self._hash.update(line)


def read(path: Path) -> list[dict[str, Any]]:
    """All whole rows of the file; a last line that was cut short is left out with a warning.

    Raises:
        ValueError: if another line is damaged; names the file and the line.
        FileNotFoundError: if there is no such file.
    """
    lines = path.read_bytes().split(b"\n")
    rest = lines.pop()  # empty if the last line is whole
    if rest:
        warnings.warn(f"{path}: the last line is cut short and left out", stacklevel=2)
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: not JSON ({error})") from error
    return rows
