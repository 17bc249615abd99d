"""IDX files, as MNIST has them: a short header, then unsigned bytes.

The header is two zero bytes, the element type, the number of dimensions, and the dimensions as
32-bit numbers, the largest byte first.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GZIP = b"\x1f\x8b"
UNSIGNED_BYTE = 8
MOST = 2**31  # bytes; a header that claims more is refused


def read(path: Path, *shape: int | None) -> NDArray[np.uint8]:
    """The file's array, gzipped or not, whatever its name.

    Args:
        path: of the file.
        *shape: what each dimension must be; None for any.

    Raises:
        ValueError: for a damaged file or one of another form; names it and what was expected.
    """
    with path.open("rb") as file:
        zipped = file.read(len(GZIP)) == GZIP
    try:
        with (gzip.open if zipped else open)(path, "rb") as file:
            start = file.read(4 + 4 * len(shape))
            found = _shape(start, shape)
            size = math.prod(found)
            content = file.read(size + 1)  # so that more than there should be is seen
    except (ValueError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged, or no such IDX file: {error}") from error
    if len(content) != size:
        there = f"{len(content)} are there" if len(content) < size else "there are more"
        raise ValueError(f"{path} is damaged: its header says {size} bytes follow; {there}")
    return np.frombuffer(content, np.uint8).reshape(found)


def _shape(start: bytes, expected: tuple[int | None, ...]) -> tuple[int, ...]:
    """The dimensions in a header.

    Raises:
        ValueError: if they are not as expected.
    """
    magic = bytes([0, 0, UNSIGNED_BYTE, len(expected)])
    if start[:4] != magic:
        raise ValueError(f"it must begin with {magic.hex()}, not {start[:4].hex() or 'nothing'}")
    if len(start) < 4 + 4 * len(expected):
        raise ValueError(f"its header must be of {4 + 4 * len(expected)} bytes, not {len(start)}")
    found = struct.unpack(f">{len(expected)}I", start[4:])
    if any(want not in (None, there) for there, want in zip(found, expected, strict=True)):
        wanted = " x ".join("any" if want is None else str(want) for want in expected)
        raise ValueError(f"it must be {wanted}, not {' x '.join(map(str, found))}")
    if not 0 < math.prod(found) < MOST:
        raise ValueError(f"it must hold from 1 to {MOST - 1} bytes, not {math.prod(found)}")
    return found
