"""Which environment a state belongs to."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from mtlgym import __version__

# What it can raise to continue a state that is not whole, or not of the kind that it claims to be.
UNFIT = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)

T = TypeVar("T")


def sign(state: dict[str, Any], description: dict[str, Any]) -> dict[str, Any]:
    """The state with what the environment is and which version made it."""
    return {"version": __version__, "description": description, "state": state}


def verify(signed: Any, description: dict[str, Any]) -> dict[str, Any]:
    """The state, if it belongs to an environment of this description and version.

    Raises:
        ValueError: if not; names the versions, or the options that differ.
    """
    whole = isinstance(signed, dict) and set(signed) == {"version", "description", "state"}
    if not (whole and isinstance(signed["description"], dict)):
        raise ValueError("this is not the state of an environment")
    if signed["version"] != __version__:
        raise ValueError(
            f"the state was saved by mtlgym {signed['version']}; this is mtlgym {__version__}"
        )
    differing = differences(signed["description"], description)
    if differing:
        raise ValueError(f"the state is of another environment: {differing}")
    return signed["state"]


def differences(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """The options in which two descriptions differ; empty if they are the same."""
    return "; ".join(
        f"{key}: {theirs.get(key)!r} there, {ours.get(key)!r} here"
        for key in sorted({*theirs, *ours})
        if theirs.get(key) != ours.get(key)
    )


def gone_on(
    signed: Any,
    description: dict[str, Any],
    rng: np.random.Generator,
    resume: Callable[[dict[str, Any]], T],
) -> T:
    """What `resume` makes of the state, if it is of this environment; the generator goes on too.

    Raises:
        ValueError: if it is of another one, or not whole; the generator is unchanged then.
    """
    state = verify(signed, description)
    try:
        random = np.random.PCG64(0)
        random.state = state["random"]
        found = resume(state)
    except UNFIT as error:
        raise ValueError(f"the state cannot be continued: {error!r}") from error
    rng.bit_generator.state = random.state
    return found
