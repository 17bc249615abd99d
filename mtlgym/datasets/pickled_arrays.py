"""How NumPy's arrays stand in pickles: what is asked for, and the states that complete it."""

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Global:
    """A name that a pickle may ask for; it stands for what it names and cannot be called."""

    name: str


@dataclass
class Made:
    """An array or element type, from when the pickle asks for it to when it says what is in it.

    Attributes:
        code: an element type's, such as "u1"; None for an array.
        value: once it is complete.
    """

    code: str | None
    value: NDArray[Any] | np.dtype[Any] | None = None


GLOBALS = {
    "numpy.core.multiarray _reconstruct": Global("_reconstruct"),
    "numpy._core.multiarray _reconstruct": Global("_reconstruct"),  # as NumPy 2 writes it
    "numpy ndarray": Global("ndarray"),
    "numpy dtype": Global("dtype"),
}
ELEMENT = re.compile("[biuf][1248]")  # no objects, whose arrays nest whatever they like
DIMENSIONS = 32


def known(name: str) -> Global:
    """What stands for a module's name, as `module name`.

    Raises:
        ValueError: for what neither arrays nor their element types need; names it.
    """
    if name not in GLOBALS:
        raise ValueError(f"it asks for {name.replace(' ', '.')[:80]}")
    return GLOBALS[name]


def begun(what: Any, arguments: Any) -> Made:
    """What calling `what` would begin.

    Raises:
        ValueError: if that is no array and no type of booleans, integers or floats.
    """
    match what, arguments:
        case (Global("_reconstruct"), (Global("ndarray"), (0,), b"b" | "b")):
            return Made(None)
        case (Global("dtype"), (bytes() | str() as code, 0, 1)):
            text = code.decode("latin-1") if isinstance(code, bytes) else code
            if not ELEMENT.fullmatch(text):
                raise ValueError(f"it asks for an array of {text[:80]!r}")
            return Made(text)
    raise ValueError(f"it calls {what.name if isinstance(what, Global) else type(what).__name__}")


def element(code: str, state: Any) -> np.dtype[Any]:
    """The element type of that code in the byte order that its state gives.

    Raises:
        ValueError: if the state has more to it, such as fields.
    """
    match state:
        case (3, b"|" | "|" | b"<" | "<" | b">" | ">" as order, None, None, None, -1, -1, 0):
            text = order.decode() if isinstance(order, bytes) else order
            return np.dtype(text + code)
    raise ValueError(f"it asks for an array of {code!r} with more to it")


def array(version: Any, shape: Any, dtype: Any, fortran: Any, data: Any) -> NDArray[Any]:
    """The array over the bytes themselves, so that none is larger than the file.

    Raises:
        ValueError: if its parts do not fit each other.
    """
    if version != 1 or not isinstance(dtype, np.dtype) or not isinstance(data, bytes):
        raise ValueError("it has an array of an unknown form")
    sound = isinstance(shape, tuple) and len(shape) <= DIMENSIONS
    if not sound or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError("it has an array without a shape")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"it has an array {shape} of {dtype} in {len(data)} bytes")
    return np.ndarray(shape, dtype, data, order="F" if fortran else "C")
