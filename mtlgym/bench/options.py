"""Options of an environment as they are written on the command line."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import tyro

Options = Annotated[
    tuple[str, ...],
    tyro.conf.arg(
        name="set",
        metavar="KEY=VALUE",
        help="Options of the environment, values as JSON or text: lr=5e-4 data=real epochs=3.",
    ),
]


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
