"""What Gymnasium's vector environments take and give, beside the environments themselves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray


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


def seeds(given: int | Sequence[int | None] | None, rows: int) -> Sequence[int | None]:
    """A seed or None for each row: one seed stands for itself and those after it.

    Raises:
        ValueError: for another number of seeds.
    """
    if given is None:
        return [None] * rows
    if isinstance(given, int):
        return [given + row for row in range(rows)]
    if len(given) != rows:
        raise ValueError(f"`seed` must be one seed or {rows} of them, not {len(given)}")
    return given


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
    try:
        mask = np.asarray(given)
    except ValueError:  # lists of unequal lengths
        mask = np.empty(0)
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
