"""What somebody gives as an array."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def as_array(value: Any) -> NDArray[Any]:
    """The value as an array; as one object, of shape (), if NumPy makes no other array of it.

    That is so of lists of unequal lengths, and of tensors on a GPU or with a graph.
    """
    try:
        return np.asarray(value)
    except (RuntimeError, TypeError, ValueError):
        whole = np.empty((), object)
        whole[()] = value
        return whole
