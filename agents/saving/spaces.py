"""Gymnasium's spaces as plain JSON, and back, with their bounds exact."""

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym.lookup import lookup

INFINITE = {"inf": np.inf, "-inf": -np.inf}
LARGEST = 10**8  # numbers in a space that is read, so that a short text cannot take all memory


def plain(space: spaces.Space) -> dict[str, Any]:
    """The space as JSON can hold it; infinite bounds stand as texts.

    Raises:
        ValueError: for a space that is none of `KINDS`, or has one in it.
    """
    name = type(space).__name__
    if name not in KINDS or type(space).__module__.partition(".")[0] != "gymnasium":
        raise ValueError(f"only the spaces {', '.join(KINDS)} can be kept, not {space}")
    return {"type": name, **KINDS[name][0](space)}


def space(said: Any, source: str) -> spaces.Space:
    """The space that `plain` described.

    Args:
        said: what stood in the JSON.
        source: the file, for messages.

    Raises:
        ValueError: for what describes no space; names the file.
    """
    try:
        return _read(said)
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        RecursionError,
    ) as error:
        raise ValueError(f"{source} is damaged: it describes no space ({error})") from error


def _read(said: Any) -> spaces.Space:
    return lookup(KINDS, said["type"], "space")[1](said)


def _plain_box(space: Any) -> dict[str, Any]:
    return {
        "shape": list(space.shape),
        "dtype": space.dtype.name,
        "low": _plain_bounds(space.low),
        "high": _plain_bounds(space.high),
    }


def _box(said: dict[str, Any]) -> spaces.Space:
    shape, dtype = tuple(said["shape"]), np.dtype(said["dtype"])
    low, high = (_bounds(said[end], shape, dtype) for end in ("low", "high"))
    return spaces.Box(low, high, shape, dtype)  # type: ignore[arg-type]


def _plain_bounds(bounds: NDArray[Any]) -> Any:
    """The numbers one after the other, or the one that all are."""
    values = [str(x) if np.isinf(x) else x for x in bounds.ravel().tolist()]
    return values[0] if values and len(set(values)) == 1 else values


def _bounds(said: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    if int(np.prod([float(length) for length in shape])) > LARGEST:
        raise ValueError(f"a space of shape {shape} is too large")
    values = [INFINITE[x] if isinstance(x, str) else x for x in np.atleast_1d(_listed(said))]
    with np.errstate(over="ignore"):
        found = np.array(values, dtype)
    return np.full(shape, found[0]) if len(found) == 1 else found.reshape(shape)


def _listed(said: Any) -> NDArray[Any]:
    """The values as objects, so that neither texts nor large integers are changed."""
    return np.array(said, dtype=object)


def _plain_discrete(space: Any) -> dict[str, Any]:
    return {"n": int(space.n), "start": int(space.start), **_integers(space)}


def _discrete(said: dict[str, Any]) -> spaces.Space:
    return spaces.Discrete(said["n"], start=said["start"], **_dtype(said))


def _plain_multi(space: Any) -> dict[str, Any]:
    return {"nvec": space.nvec.tolist(), "start": space.start.tolist(), **_integers(space)}


def _multi(said: dict[str, Any]) -> spaces.Space:
    return spaces.MultiDiscrete(said["nvec"], start=said["start"], **_dtype(said))


def _integers(space: spaces.Space) -> dict[str, Any]:
    """The type of the actions, where it is not the usual one."""
    assert space.dtype is not None
    return {} if space.dtype == np.int64 else {"dtype": space.dtype.name}


def _dtype(said: dict[str, Any]) -> dict[str, Any]:
    return {"dtype": np.dtype(said["dtype"])} if "dtype" in said else {}


def _plain_dict(space: Any) -> dict[str, Any]:
    return {"spaces": [[str(name), plain(each)] for name, each in space.items()]}


def _dict(said: dict[str, Any]) -> spaces.Space:
    return spaces.Dict([(name, _read(each)) for name, each in said["spaces"]])


def _plain_tuple(space: Any) -> dict[str, Any]:
    return {"spaces": [plain(each) for each in space]}


def _tuple(said: dict[str, Any]) -> spaces.Space:
    return spaces.Tuple([_read(each) for each in said["spaces"]])


Kind = tuple[Callable[[Any], dict[str, Any]], Callable[[dict[str, Any]], spaces.Space]]
KINDS: dict[str, Kind] = {
    "Box": (_plain_box, _box),
    "Dict": (_plain_dict, _dict),
    "Discrete": (_plain_discrete, _discrete),
    "MultiDiscrete": (_plain_multi, _multi),
    "Tuple": (_plain_tuple, _tuple),
}
