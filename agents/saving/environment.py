"""What an environment says of itself, as JSON can hold it, through Gymnasium alone."""

import math
from typing import Any

import numpy as np

WEIGHING = ("observation", "actions", "scale", "transform")  # what a policy of task weights needs


def origin(env: Any) -> dict[str, Any] | None:
    """The environment's id, options and tasks, and how it weighs tasks; None for none.

    Args:
        env: a Gymnasium environment, one of a vector of them, or None. One that is not registered
            has no id; one that does not say has no tasks; one whose actions are no weights has no
            weighing.
    """
    if env is None:
        return None
    inner = env.unwrapped
    spec, settings = inner.spec, getattr(inner, "options", None)
    tasks = getattr(getattr(inner, "problem", None), "tasks", ())
    weighs = getattr(settings, "interface", None) == "weights"
    return {
        "id": "" if spec is None else spec.id,
        "options": {} if spec is None else plain(spec.kwargs),
        "tasks": list(tasks),
        "weighing": {name: plain(getattr(settings, name)) for name in WEIGHING} if weighs else None,
    }


def plain(value: Any) -> Any:
    """The value as JSON can hold it; a text stands for what it cannot: a function's name, "inf"."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return getattr(value, "__qualname__", type(value).__qualname__)
