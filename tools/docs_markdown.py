"""Parts of the generated pages: tables, and pieces of docstrings."""

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

from mtlgym.problems import builder_parts


def table(header: tuple[str, ...], rows: list[Any]) -> str:
    """A table of strings."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def arguments(
    options: Mapping[str, Any], kinds: Sequence[type], builder: Any, apart: Sequence[str]
) -> str:
    """The arguments of an environment: fields of dataclasses, then of a problem's builder.

    Args:
        options: what an id sets.
        kinds: the dataclasses.
        builder: the problem's; in place of an argument that is a dataclass, its fields are told.
        apart: fields that are no arguments.
    """
    parts = builder_parts(builder)
    texts = described(documented(builder), "Args")
    plain = [
        (name, parameter.default, texts[name])
        for name, parameter in inspect.signature(builder).parameters.items()
        if name not in parts
    ]
    every = [*_fields(kinds, apart), *plain, *_fields(parts.values(), ())]
    rows = [(f"`{name}`", f"`{options.get(name, given)!r}`", text) for name, given, text in every]
    return table(("argument", "default here", "what it is"), rows)


def documented(builder: Any) -> Any:
    """What has a builder's docstring: itself, or the function that it sets arguments of."""
    return builder.func if isinstance(builder, partial) else builder


def _fields(kinds: Iterable[type], apart: Sequence[str]) -> list[tuple[str, Any, str]]:
    """Name, default and description of the fields of dataclasses, but for those `apart`."""
    told = [(described(kind, "Attributes"), field) for kind in kinds for field in fields(kind)]
    return [
        (field.name, field.default, texts[field.name])
        for texts, field in told
        if field.name not in apart
    ]


def sections(parts: dict[str, str]) -> str:
    """A page of titled sections; those without text are left out, the first has no title."""
    texts = [f"## {title}\n\n{text}" if title else text for title, text in parts.items() if text]
    return "\n\n".join(texts) + "\n"


def clean(text: str | None) -> str:
    """A docstring without its indentation."""
    return inspect.cleandoc(text or "")


def first(thing: Any) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join(clean(thing.__doc__).split("\n\n")[0].split())


def described(thing: Any, section: str) -> dict[str, str]:
    """The descriptions in a section of a docstring, such as Args, by name."""
    text = clean(thing.__doc__).partition(f"{section}:\n")[2]
    items = re.split(r"\n    (?=\w+: )", "\n" + text.split("\n\n")[0])[1:]
    return {name: " ".join(rest.split()) for name, _, rest in (i.partition(": ") for i in items)}
