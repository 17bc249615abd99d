"""Where a minibatch's rows are in their routes, in plain values: taken apart and put together.

The routes that are `finished`, the actions `taken` by the rows under way, (rows, depths), the
`depth` they are at and the `observation` of them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np


def joined(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The places of all rows, from those of some rows after another."""
    finished = zip(*(part["finished"] for part in parts), strict=True)
    seen = parts[0]["observation"]
    return {
        "finished": [np.concatenate(each) for each in finished],
        "taken": np.concatenate([part["taken"] for part in parts]),
        "depth": parts[0]["depth"],
        "observation": {
            key: np.concatenate([part["observation"][key] for part in parts]) for key in seen
        },
    }


def part(places: dict[str, Any], rows: slice) -> dict[str, Any]:
    """The places of these rows alone."""
    return {
        "finished": [taken[rows] for taken in places["finished"]],
        "taken": places["taken"][rows],
        "depth": places["depth"],
        "observation": {key: each[rows] for key, each in places["observation"].items()},
    }
