"""A description of an environment as JSON, by Gymnasium's interface only."""

import math
from typing import Any

import numpy as np

# The environment's settings that define the observations and actions of a policy of task weights.
WEIGHING = ("observation", "actions", "scale", "transform")


def describe(env: Any) -> dict[str, Any] | None:
    """The environment's id, options and tasks, and how it weighs tasks; None for none.

    Args:
        env: a Gymnasium environment, one of a vector of them, or None. The id is empty if
            it is not registered, the tasks if they are unknown, and "weighing" is None if its
            actions are no weights.
    """
    if env is None:
        return None
    inner = env.unwrapped
    spec, settings = inner.spec, getattr(inner, "options", None)
    tasks = getattr(getattr(inner, "problem", None), "tasks", ())
    weighs = getattr(settings, "interface", None) == "weights"
    return {
        "id": "" if spec is None else spec.id,
        "options": {} if spec is None else to_json(spec.kwargs),
        "tasks": list(tasks),
        "weighing": {name: to_json(getattr(settings, name)) for name in WEIGHING}
        if weighs
        else None,
    }


def to_json(value: Any) -> Any:
    """The value as JSON; other values become texts, such as a function's name or "inf"."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): to_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return getattr(value, "__qualname__", type(value).__qualname__)
