"""What a state must be like for an agent to continue from it; looked at before anything changes."""

from collections.abc import Mapping
from typing import Any

STARTS = (
    "log",
    "tasks",
)  # settings that only say how a policy begins: states need not agree in them


def check_state(state: Any, agent: Any, settings: dict[str, Any]) -> None:
    """Refuse a state of an agent with other settings, or one that is not whole.

    Args:
        state: with the agent's settings under "settings".
        agent: who is to continue from it.
        settings: the agent's own.

    Raises:
        ValueError: names what the state is of and should be of, or what it lacks.
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
    """Refuse a state that has not the agent's own keys, or not the same dictionaries in it.

    Args:
        state: what is given.
        own: the agent's own state.
        agent: who asks, for the message.
        place: what the state is called there.

    Raises:
        ValueError: names the place, and the keys that are missing or unknown.
    """
    if not isinstance(state, Mapping):
        raise ValueError(f"`{place}` of {agent} must be a dictionary, not {state!r}")
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys(), key=str)
    if missing or unknown:
        told = [f"lacks {missing}"] * bool(missing) + [f"has unknown {unknown}"] * bool(unknown)
        raise ValueError(f"`{place}` of {agent} {' and '.join(told)}")
    for key, value in own.items():
        if isinstance(value, Mapping) and key != "settings":
            check_keys(state[key], value, agent, f"{place}[{key!r}]")
