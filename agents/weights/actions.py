"""The kinds of action spaces: task weights, logits of weights, or a task."""

from typing import Any

import numpy as np
from gymnasium import spaces

_NAMES = {
    "weights": 'Box(0, inf, (tasks,)), from `actions="weights"`',
    "logits": 'Box(-1, 1, (tasks,)), from `actions="logits"`',
    "tasks": 'Discrete(tasks), from `interface="tasks"`',
}


def kind(space: spaces.Space, agent: str, allowed: tuple[str, ...]) -> str:
    """The kind of decision of an action space.

    Args:
        space: the environment's action space.
        agent: name of the agent, for the message.
        allowed: kinds of decision that the agent can make, of "weights", "logits" and "tasks".

    Raises:
        ValueError: for a space of none of the allowed kinds.
    """
    found = _kind(space)
    if found not in allowed:
        choices = " or ".join(_NAMES[name] for name in allowed)
        raise ValueError(f"{agent} needs the action space {choices}; `action_space` is {space}")
    return found


def tasks(space: spaces.Space) -> int:
    """The number of tasks of an action space that `kind` knows."""
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    assert isinstance(space, spaces.Box)
    return space.shape[0]


def vector_size(space: spaces.Space, agent: str) -> int:
    """The length of the observations.

    Raises:
        ValueError: unless observations are float32 vectors.
    """
    if not (isinstance(space, spaces.Box) and len(space.shape) == 1 and space.dtype == np.float32):
        raise ValueError(f"{agent} needs a float32 Box of one axis; `observation_space` is {space}")
    return space.shape[0]


def bounded(name: str, value: Any) -> np.ndarray:
    """The value as float32, clipped to [-1e6, 1e6], beyond which networks would overflow.

    Raises:
        ValueError: for a value that is not finite.
    """
    array = np.asarray(value, np.float32)
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` must be finite, not {value!r}")
    return np.asarray(array.clip(-1e6, 1e6))


def _kind(space: spaces.Space) -> str:
    if isinstance(space, spaces.Discrete) and space.start == 0:
        return "tasks"
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        if np.all(space.low == 0) and np.all(np.isposinf(space.high)):
            return "weights"
        if np.all(space.low == -1) and np.all(space.high == 1):
            return "logits"
    return ""
