"""Pickles as Python 2 wrote them, in which every string is one of bytes."""

import pickle
from io import BytesIO
from typing import Any, ClassVar


class Python2Pickler(pickle._Pickler):  # type: ignore  # what the C one does not let be extended
    """Protocol 2 with bytes as strings, and arrays by the name they had before NumPy 2."""

    def save_bytes(self: Any, value: bytes) -> None:
        if len(value) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(value)]) + value)
        else:
            self.write(pickle.BINSTRING + len(value).to_bytes(4, "little") + value)
        self.memoize(value)

    dispatch: ClassVar[Any] = {**pickle._Pickler.dispatch, bytes: save_bytes}  # type: ignore


def python2(value):
    file = BytesIO()
    Python2Pickler(file, protocol=2).dump(value)
    return file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
