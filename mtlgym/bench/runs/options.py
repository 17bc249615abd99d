"""Options of an environment as they are written on the command line."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import tyro

from mtlgym import agents

Options = Annotated[
    tuple[str, ...],
    tyro.conf.arg(
        name="set",
        metavar="KEY=VALUE",
        help="Options of the environment, values as JSON or text: lr=5e-4 data=real epochs=3.",
    ),
]


def for_agent(spec: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, and those that an environment must have for the agent to act as published.

    Raises:
        ValueError: for an unknown agent, or options that it contradicts.
    """
    needed = agents.environment_options(spec)
    for name, value in needed.items():
        if options.get(name, value) != value:
            raise ValueError(
                f"`{name}` must be {value!r} for agent {spec!r}, not {options[name]!r}"
            )
    return needed | dict(options)


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """`key=value` texts as options; a value that is not JSON is text.

    Raises:
        ValueError: for a text without `=`.
    """
    parsed: dict[str, Any] = {}
    for option in options:
        key, equals, text = option.partition("=")
        if not (key and equals):
            raise ValueError(f"`--set` takes KEY=VALUE, not {option!r}")
        try:
            parsed[key] = json.loads(text)
        except json.JSONDecodeError:
            parsed[key] = text
    return parsed
