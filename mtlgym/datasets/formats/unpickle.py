"""Reads pickles as data: plain values and NumPy arrays, without any call that the file requests.

`pickle.Unpickler` with an allow-list in `find_class` does not suffice: its memo is an array that a
file's index resizes. Nine bytes with LONG_BINPUT 2**28 - 1 took 4 GiB and 47 s of CPython 3.11.
"""

import math
import pickletools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Global:
    """A global name that a pickle may use; a placeholder that cannot be called."""

    name: str


@dataclass
class Unfinished:
    """An array or element type between the opcode that creates it and the one that sets its state.

    Attributes:
        code: an element type's, such as "u1"; None for an array.
        value: None until its state is set.
    """

    code: str | None
    value: NDArray[Any] | np.dtype[Any] | None = None


GLOBALS = {
    "numpy.core.multiarray _reconstruct": Global("_reconstruct"),
    "numpy._core.multiarray _reconstruct": Global("_reconstruct"),  # as NumPy 2 writes it
    "numpy ndarray": Global("ndarray"),
    "numpy dtype": Global("dtype"),
}
ELEMENT = re.compile("[biuf][1248]")  # no objects: arrays of those may hold anything
DIMENSIONS = 32


def allowed_global(name: str) -> Global:
    """The placeholder of a global, given as `module name`.

    Raises:
        ValueError: for what neither arrays nor their element types need; names it.
    """
    if name not in GLOBALS:
        raise ValueError(f"it asks for {name.replace(' ', '.')[:80]}")
    return GLOBALS[name]


def unfinished(what: Any, arguments: Any) -> Unfinished:
    """The array or element type that calling `what` would create.

    Raises:
        ValueError: if that is no array and no type of booleans, integers or floats.
    """
    match what, arguments:
        case (Global("_reconstruct"), (Global("ndarray"), (0,), b"b" | "b")):
            return Unfinished(None)
        case (Global("dtype"), (bytes() | str() as code, 0, 1)):
            text = code.decode("latin-1") if isinstance(code, bytes) else code
            if not ELEMENT.fullmatch(text):
                raise ValueError(f"it asks for an array of {text[:80]!r}")
            return Unfinished(text)
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


OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
LITERALS = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
PLAIN = (dict, list, str, bytes, int, float, type(None), np.ndarray)


@dataclass
class Machine:
    """The state of the interpreter: stack, marks and memo."""

    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def run(self, name: str, argument: Any) -> None:
        """Execute one opcode."""
        stack, memo = self.stack, self.memo
        match name:
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case _ if name in LITERALS:
                stack.append(argument)
            case "BINSTRING" | "SHORT_BINSTRING":  # Python 2's strings are bytes
                stack.append(argument.encode("latin-1"))
            case _ if name in CONSTANTS:
                stack.append(CONSTANTS[name])
            case "EMPTY_DICT" | "EMPTY_LIST":
                stack.append({} if name == "EMPTY_DICT" else [])
            case "MARK":
                self.marks.append(len(stack))
            case "TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
                items = self._marked() if name == "TUPLE" else self._taken(int(name[-1]))
                stack.append(tuple(_value(item) for item in items))
            case "APPEND" | "APPENDS":
                self._append(self._marked() if name == "APPENDS" else self._taken(1))
            case "SETITEM" | "SETITEMS":
                self._set(self._marked() if name == "SETITEMS" else self._taken(2))
            case "GLOBAL" | "STACK_GLOBAL" | "REDUCE" | "BUILD":
                self._make(name, argument)
            case "PROTO" | "FRAME" | "STOP":
                pass
            case _:
                of = f" with {argument[:80]!r}" if isinstance(argument, str) else ""
                raise ValueError(f"it uses the opcode {name}{of}")

    def result(self) -> dict[Any, Any]:
        """The dict that the pickle holds, after its last opcode."""
        (item,) = self._taken(1)
        if not isinstance(item, dict):
            raise ValueError(f"it holds a {type(item).__name__}, not a dict")
        return item

    def _taken(self, count: int) -> list[Any]:
        start = len(self.stack) - count
        if start < 0:
            raise ValueError("it takes more than it has put in")
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def _marked(self) -> list[Any]:
        if not self.marks:
            raise ValueError("it takes more than it has put in")
        return self._taken(len(self.stack) - self.marks.pop())

    def _append(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise ValueError("it appends to what is no list")
        self.stack[-1].extend(_plain(item) for item in items)

    def _set(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict):
            raise ValueError("it sets an item of what is no dict")
        plain = [_plain(item) for item in items]
        self.stack[-1].update(zip(plain[::2], plain[1::2], strict=True))

    def _make(self, name: str, argument: Any) -> None:
        """Push a global, create an array or element type, or set its state."""
        if name == "GLOBAL":
            self.stack.append(allowed_global(argument))
        elif name == "STACK_GLOBAL":
            self.stack.append(allowed_global(" ".join(self._taken(2))))
        elif name == "REDUCE":
            self.stack.append(unfinished(*self._taken(2)))
        else:
            (state,) = self._taken(1)
            target = self.stack[-1]
            if not isinstance(target, Unfinished):
                raise ValueError(f"it sets the state of a {type(target).__name__}")
            target.value = array(*state) if target.code is None else element(target.code, state)


def load(path: Path) -> dict[Any, Any]:
    """The dict in a pickle of protocol 2 as Python 2 writes it, or of 3 or 4 as Python 3 does.

    It may hold dicts, lists, text, bytes, numbers, None and arrays of booleans, integers and
    floats; the arrays are read-only. Python 2's strings are bytes. The opcodes are interpreted
    here one by one; none imports or calls anything, or allocates more than the file has.

    Raises:
        ValueError: for anything else, such as another global, which it names, and for a damaged
            file; names the file.
    """
    machine, content = (
        Machine(),
        BytesIO(path.read_bytes()),
    )  # whose reads allocate no more than the file has
    try:
        for name, argument in _opcodes(content):
            machine.run(name, argument)
        if content.read(1):
            raise ValueError("something follows its end")
        return machine.result()
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        text = f"{path} is damaged, or no pickle of plain values and arrays: {error}"
        raise ValueError(text) from error


def _opcodes(content: BytesIO) -> Iterator[tuple[str, Any]]:
    """Name and argument of each opcode."""
    name = ""
    while name != "STOP":
        code = content.read(1).decode("latin-1")
        if code not in OPCODES:
            raise ValueError(f"there is no opcode {code!r}" if code else "it has no end")
        opcode = OPCODES[code]
        name = opcode.name
        # Protocol 0's strings stay unread: Python would warn of escapes in them.
        read = opcode.arg.reader if opcode.arg and name != "STRING" else None
        yield name, read(content) if read else None


def _value(item: Any) -> Any:
    return item if not isinstance(item, Unfinished) else item.value


def _plain(item: Any) -> Any:
    """The value, if a list or dict may hold it; tuples are allowed in arrays' states alone."""
    value = _value(item)
    if not isinstance(value, PLAIN) or (value is None and item is not None):
        raise ValueError(f"it holds a {type(value).__name__}")
    return value
