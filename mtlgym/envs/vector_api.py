"""Arguments and infos of Gymnasium's vector environments: autoreset mode, seeds, masks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from mtlgym.checks import as_array


def mode(given: AutoresetMode | str) -> AutoresetMode:
    """Return the mode, given as such or by its value.

    Raises:
        ValueError: for another value; names the allowed ones.
    """
    if isinstance(given, AutoresetMode):
        return given
    known = [each.value for each in AutoresetMode]
    if not isinstance(given, str) or given not in known:
        raise ValueError(f"`autoreset_mode` must be one of {known}, not {given!r}")
    return AutoresetMode(given)


def seeds(value: Any, rows: int) -> list[int | None]:
    """Return a seed or None for each row; from a single seed the rows count up.

    Raises:
        ValueError: for a wrong number of seeds, and for values that are no integers.
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
    values = [each.item() if isinstance(each, np.integer) else each for each in value]
    if not all(each is None or isinstance(each, int) for each in values):
        raise ValueError(f"`seed` must be {rows} integers or None, not {value!r}")
    return values


def reset_mask(options: dict[str, Any] | None, rows: int) -> NDArray[np.bool_]:
    """The mask of the rows to reset, (rows,), in the options of `reset`; all rows by default.

    Raises:
        ValueError: for options that are no dict, and for a mask of another shape or type, or
            that is False for all rows.
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
    """The info of these rows: each value, set to 0 in the other rows, and its mask."""
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
    """The entries `final_obs` and `final_info` of the rows whose episodes ended in this step."""
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
