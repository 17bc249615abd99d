"""Which environment a state belongs to."""

from typing import Any

from mtlgym import __version__


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
    theirs = signed["description"]
    differing = [
        f"{key}: {theirs.get(key)!r} there, {description.get(key)!r} here"
        for key in sorted({*theirs, *description})
        if theirs.get(key) != description.get(key)
    ]
    if differing:
        raise ValueError(f"the state is of another environment: {'; '.join(differing)}")
    return signed["state"]
