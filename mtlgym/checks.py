"""Checks of single values, with messages that name argument, value and what is allowed."""

import math
import operator
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mtlgym.lookup import unknown


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


SIZE = 2**16  # the most of any size; without a bound, a slip has torch build until memory is full
WHOLE = 2**63  # integers from here on are beyond torch and NumPy
MOST = 1e30  # of any real number: what optimizers multiply it by stays within float32


def integer(name: str, value: Any, least: int, most: int | None = None) -> None:
    """Refuse what is not an integer of at least `least`, and at most `most` if that is given.

    Raises:
        ValueError: names the argument and the value.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"`{name}` must be an integer of at least {least}, not {value!r}")
    if most is not None and int(value) > most:
        raise ValueError(f"`{name}` must be at most {most}, not {value!r}")


def choice(name: str, value: Any, count: int) -> int:
    """The value as an integer in [0, count).

    Raises:
        ValueError: if it is none; names the argument and the value.
    """
    try:
        chosen = -1 if isinstance(value, bool) else operator.index(value)
    except (RuntimeError, TypeError):  # the former of tensors without data
        chosen = -1
    if not 0 <= chosen < count:
        raise ValueError(f"`{name}` must be an integer in [0, {count}), not {value!r}")
    return chosen


def real(
    name: str,
    value: Any,
    least: float = -math.inf,
    *,
    open_end: bool = False,
    most: float = math.inf,
) -> None:
    """Refuse what is not a finite number of at least `least`, or above it with `open_end`.

    It may be `most` at most.

    Raises:
        ValueError: names the argument and the value.
    """
    number = isinstance(value, Real) and not isinstance(value, bool) and _is_usable(value)
    if not number or value < least or (open_end and value == least):
        bound = "" if least == -math.inf else f" {'above' if open_end else 'of at least'} {least:g}"
        raise ValueError(f"`{name}` must be a finite number{bound}, not {value!r}")
    if value > most:
        raise ValueError(f"`{name}` must be at most {most:g}, not {value!r}")


def _is_usable(value: Real) -> bool:
    if isinstance(value, Integral):
        return -WHOLE <= int(value) < WHOLE
    return math.isfinite(value)


def fraction(name: str, value: Any) -> None:
    """Refuse what is not a number in [0, 1).

    Raises:
        ValueError: names the argument and the value.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= cast(float, value) < 1:
        raise ValueError(f"`{name}` must be a number of at least 0 and below 1, not {value!r}")


def share(name: str, value: Any) -> None:
    """Refuse what is not a number in (0, 1).

    Raises:
        ValueError: names the argument and the value.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < cast(float, value) < 1:
        raise ValueError(f"`{name}` must be a number above 0 and below 1, not {value!r}")


def flag(name: str, value: Any) -> None:
    """Refuse what is neither True nor False.

    Raises:
        ValueError: names the argument and the value.
    """
    if not isinstance(value, bool):
        raise ValueError(f"`{name}` must be True or False, not {value!r}")


def tasks(value: Any, known: Iterable[str]) -> tuple[str, ...]:
    """The tasks of a problem, as a tuple, if they are some of those that it has, each once.

    Raises:
        ValueError: names the argument `tasks` and what is wrong with it.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"`tasks` must be a sequence of names, not {value!r}")
    known = tuple(known)
    for task in value:
        if task not in known:
            raise ValueError(unknown(task, known, "task"))
    if not value or len(set(value)) < len(value):
        raise ValueError(f"`tasks` must name at least one task, each once, not {tuple(value)}")
    return tuple(value)


def some_tasks(value: Any, known: Iterable[str]) -> tuple[str, ...]:
    """All tasks for None, the first ones for their number, else those that are named, each once.

    Raises:
        ValueError: names the argument `tasks` and what is wrong with it.
    """
    known = tuple(known)
    if value is None:
        return known
    if isinstance(value, bool) or not isinstance(value, Integral):
        return tasks(value, known)
    if not 1 <= int(value) <= len(known):
        raise ValueError(f"`tasks` must be from 1 to {len(known)}, or names, not {value}")
    return known[: int(value)]
