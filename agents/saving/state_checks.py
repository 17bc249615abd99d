"""Checks of a state before an agent loads it."""

from collections.abc import Mapping
from typing import Any

# Settings that only define a policy's start: states may differ in them.
STARTS = ("log", "tasks")


def check_state(state: Any, agent: Any, settings: dict[str, Any]) -> None:
    """Refuse a state of an agent with other settings, or an incomplete one.

    Args:
        state: with the agent's settings under "settings".
        agent: the agent that loads it.
        settings: the agent's own.

    Raises:
        ValueError: names both settings, or the missing and unknown keys.
    """
    own, name = agent.state_dict(), type(agent).__name__
    if not isinstance(state, Mapping) or "settings" not in state:
        check_keys(state, own, name)
    given = state["settings"]
    if isinstance(given, Mapping):
        given = {key: value for key, value in given.items() if key in settings or key not in STARTS}
    if given != settings:
        raise ValueError(f"`state` is of a {name} with {given}, not {settings}")
    check_keys(state, own, name)


def check_keys(state: Any, own: Mapping[str, Any], agent: str, place: str = "state") -> None:
    """Refuse a state whose keys, also those of its dictionaries, are not the agent's own.

    Args:
        state: to check.
        own: the agent's own state.
        agent: name of the agent, for the message.
        place: name of the state, for the message.

    Raises:
        ValueError: names the place, and the keys that are missing or unknown.
    """
    if not isinstance(state, Mapping):
        raise ValueError(f"`{place}` of {agent} must be a dictionary, not {state!r}")
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys(), key=str)
    if missing or unknown:
        problems = [f"lacks {missing}"] * bool(missing) + [f"has unknown {unknown}"] * bool(unknown)
        raise ValueError(f"`{place}` of {agent} {' and '.join(problems)}")
    for key, value in own.items():
        if isinstance(value, Mapping) and key != "settings":
            check_keys(state[key], value, agent, f"{place}[{key!r}]")
