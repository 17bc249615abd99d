"""One builder a file: a problem's name and options -> Problem."""

import inspect
from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

from mtlgym.lookup import lookup
from mtlgym.problems.problem import Batch, OrderedSplit, Problem, Split

# Strings, so that a problem's libraries are imported only when it is built.
PROBLEMS = {
    "glue": "mtlgym.problems.glue:build",
    "nyuv2": "mtlgym.problems.nyuv2:build",
    "qm9": "mtlgym.problems.qm9:build",
}

__all__ = ["PROBLEMS", "Batch", "OrderedSplit", "Problem", "Split", "build", "builder_options"]


def builder_options(name: str) -> tuple[str, ...]:
    """The options of the problem of that name.

    Raises:
        ValueError: for a name that is not in `PROBLEMS`.
    """
    builder = resolve_name(lookup(PROBLEMS, name, "problem"))
    return tuple(inspect.signature(builder).parameters)


def build(name: str, options: Mapping[str, Any]) -> Problem:
    """Build the problem of that name.

    Raises:
        ValueError: for a name that is not in `PROBLEMS`, or an option's value that is not allowed.
    """
    return resolve_name(lookup(PROBLEMS, name, "problem"))(**options)
