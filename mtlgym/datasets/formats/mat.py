"""MATLAB's files of format 5 (`save -v6` and `-v7`): their dense arrays of real numbers.

Source: MathWorks, "MAT-File Format". Differs from SciPy's reader in that a damaged file cannot end
the process, and in that nothing but arrays of numbers is made.
"""

import math
import struct
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEADER = 128  # bytes; ends in a version and the mark of the byte order
ORDERS = {b"IM": "<", b"MI": ">"}
VERSION = 1  # in the upper byte; 2 is format 7.3, which is HDF5
MATRIX, COMPRESSED = 14, 15  # kinds of elements
NUMBERS = range(6, 16)  # classes of matrices: double, single, then integers of 8 to 64 bits
COMPLEX = 0x0800  # flag of a matrix
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}


def read(path: Path, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """The requested arrays that the file has, in the type that they are stored in.

    Cells, structures, texts, sparse and complex arrays are left out.

    Args:
        path: of the file.
        names: of the variables.

    Raises:
        ValueError: if the file is of another format or damaged; says in what.
        OSError: if it cannot be read.
    """
    content = memoryview(path.read_bytes())
    order = ORDERS.get(bytes(content[HEADER - 2 : HEADER]))
    if order is None:
        raise ValueError("it has no header of MATLAB's format 5 (save -v6 or -v7)")
    (version,) = struct.unpack_from(f"{order}H", content, HEADER - 4)
    if version >> 8 != VERSION:
        raise ValueError(f"it is of version {version:#06x}: save it with -v7, not -v7.3")
    try:
        return {
            name: array
            for matrix in _matrices(content[HEADER:], order)
            for name, array in _array(matrix, order, names)
        }
    except (struct.error, zlib.error) as error:
        raise ValueError(f"an element in it is damaged: {error}") from error


def _matrices(content: memoryview, order: str) -> Iterator[memoryview]:
    for kind, data in _elements(content, order):
        if kind == COMPRESSED:
            whole = memoryview(zlib.decompress(data))
            yield from (inner for each, inner in _elements(whole, order) if each == MATRIX)
        elif kind == MATRIX:
            yield data


def _elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Kind and data of each element; these of up to four bytes are in the tag itself."""
    at = 0
    while at < len(content):
        kind, count = struct.unpack_from(f"{order}II", content, at)
        short = kind >> 16
        if short > 4:
            raise ValueError(f"an element in it has {short} bytes in a place of 4")
        start, count = (at + 4, short) if short else (at + 8, count)
        if start + count > len(content):
            raise ValueError(f"an element in it has {count} bytes, but it ends before")
        kind &= 0xFFFF
        yield kind, content[start : start + count]
        padding = 0 if kind == COMPRESSED else -count % (4 if short else 8)
        at = start + count + padding


def _array(
    matrix: memoryview, order: str, names: Collection[str]
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Name and values of a matrix, if it is one of real numbers that is asked for."""
    parts = _elements(matrix, order)
    flags = next(parts, (0, memoryview(b"")))[1]
    (what,) = struct.unpack_from(f"{order}I", flags)
    if what & 0xFF not in NUMBERS or what & COMPLEX:
        return
    rest = list(parts)
    if len(rest) != 3:
        raise ValueError(f"a matrix in it has {len(rest)} parts, not a shape, a name and values")
    (_, sizes), (_, name), (kind, values) = rest
    if str(name, "latin-1") not in names:
        return
    shape = struct.unpack(f"{order}{len(sizes) // 4}i", sizes)
    if kind not in TYPES:
        raise ValueError(f"a matrix in it has values of the unknown type {kind}")
    dtype = np.dtype(order + TYPES[kind])
    if min(shape, default=-1) < 0 or math.prod(shape) * dtype.itemsize != len(values):
        raise ValueError(f"a matrix {shape} of {dtype} in it has {len(values)} bytes")
    yield str(name, "latin-1"), np.frombuffer(values, dtype).reshape(shape, order="F")
