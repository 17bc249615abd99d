"""What Gymnasium's vector environments take and give, beside the environments themselves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from mtlgym.checks import as_array


def mode(given: AutoresetMode | str) -> AutoresetMode:
    """The mode, by itself or by its value.

    Raises:
        ValueError: for another value; names those there are.
    """
    if isinstance(given, AutoresetMode):
        return given
    known = [each.value for each in AutoresetMode]
    if not isinstance(given, str) or given not in known:
        raise ValueError(f"`autoreset_mode` must be one of {known}, not {given!r}")
    return AutoresetMode(given)


def seeds(value: Any, rows: int) -> list[int | None]:
    """A seed or None for each row: one seed stands for itself and those after it.

    Raises:
        ValueError: for another number of seeds, and for what is no integer.
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None:
        return [None] * rows
    if isinstance(value, int):
        return [value + row for row in range(rows)]
    if isinstance(value, bytes) or not isinstance(value, Sequence):
        raise ValueError(f"`seed` must be one seed or {rows} of them, not {value!r}")
    if len(value) != rows:
        raise ValueError(f"`seed` must be one seed or {rows} of them, not {len(value)}")
    found = [each.item() if isinstance(each, np.integer) else each for each in value]
    if not all(each is None or isinstance(each, int) for each in found):
        raise ValueError(f"`seed` must be {rows} integers or None, not {value!r}")
    return found


def reset_mask(options: dict[str, Any] | None, rows: int) -> NDArray[np.bool_]:
    """The rows that the options of `reset` say to reset, (rows,); all, if they say nothing.

    Raises:
        ValueError: for options that are no dict, and for a mask of another shape or type, or
            without a row.
    """
    if not isinstance(options, dict | None):
        raise ValueError(f"`options` must be a dict or None, not {options!r}")
    given = (options or {}).get("reset_mask")
    if given is None:
        return np.ones(rows, np.bool_)
    mask = as_array(given)
    if mask.shape != (rows,) or mask.dtype != np.bool_ or not mask.any():
        raise ValueError(
            f"`reset_mask` must be {rows} booleans of which at least one is True, not {given!r}"
        )
    return mask


def masked(values: dict[str, NDArray[Any]], rows: NDArray[np.bool_]) -> dict[str, Any]:
    """An info of these rows: a mask beside each value, which becomes 0 in the other rows."""
    infos: dict[str, Any] = {}
    every = np.count_nonzero(rows) == len(rows)  # faster than all()
    for key, value in values.items():
        if not every:
            value[~rows] = 0
        infos[key], infos[f"_{key}"] = value, rows.copy()
    return infos


def final(
    observed: NDArray[Any] | dict[str, NDArray[Any]],
    values: dict[str, NDArray[Any]],
    rows: NDArray[np.bool_],
) -> dict[str, Any]:
    """The last observations and infos of episodes of these rows, which a reset covers up."""
    last = np.full(len(rows), None, object)
    for row in np.flatnonzero(rows):
        if isinstance(observed, dict):
            last[row] = {key: each[row].copy() for key, each in observed.items()}
        else:
            last[row] = observed[row].copy()
    return {
        "final_obs": last,
        "_final_obs": rows.copy(),
        "final_info": masked(values, rows),
        "_final_info": rows.copy(),
    }
