"""Saved states of environments: each is wrapped with a description of its environment."""

from collections.abc import Callable
from typing import Any

import numpy as np

from mtlgym import __version__

# The errors that restoring an incomplete state, or one of another kind, can raise.
RESTORE_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


def wrap(state: dict[str, Any], description: dict[str, Any]) -> dict[str, Any]:
    """The state together with the environment's description and mtlgym's version."""
    return {"version": __version__, "description": description, "state": state}


def unwrap(wrapped: Any, description: dict[str, Any]) -> dict[str, Any]:
    """The state inside a wrapped one, if description and version are those of this environment.

    Raises:
        ValueError: if not; names the versions, or the options that differ.
    """
    is_whole = isinstance(wrapped, dict) and set(wrapped) == {"version", "description", "state"}
    if not (is_whole and isinstance(wrapped["description"], dict)):
        raise ValueError("this is not the state of an environment")
    if wrapped["version"] != __version__:
        raise ValueError(
            f"the state was saved by mtlgym {wrapped['version']}; this is mtlgym {__version__}"
        )
    differing = differences(wrapped["description"], description)
    if differing:
        raise ValueError(f"the state is of another environment: {differing}")
    return wrapped["state"]


def differences(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """The options in which two descriptions differ, as text; empty if they are the same."""
    return "; ".join(
        f"{key}: {theirs.get(key)!r} there, {ours.get(key)!r} here"
        for key in sorted({*theirs, *ours})
        if theirs.get(key) != ours.get(key)
    )


def restore(
    wrapped: Any,
    description: dict[str, Any],
    rng: np.random.Generator,
    load: Callable[[dict[str, Any]], None],
) -> None:
    """Call `load` with the state in a wrapped one, then restore the generator's state too.

    Raises:
        ValueError: if the state is of another environment, or incomplete; the generator is then
            unchanged.
    """
    state = unwrap(wrapped, description)
    try:
        random = np.random.PCG64(0)
        random.state = state["random"]
        load(state)
    except RESTORE_ERRORS as error:
        raise ValueError(f"the state cannot be continued: {error!r}") from error
    rng.bit_generator.state = random.state
