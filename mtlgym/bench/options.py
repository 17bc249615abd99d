"""Options of an environment as they are written on the command line."""

import json
from collections.abc import Sequence
from typing import Any


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
