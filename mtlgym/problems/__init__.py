"""One builder a file: a problem's name and options -> Problem."""

import inspect
from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

from mtlgym.lookup import lookup
from mtlgym.problems.images import ImageProblem
from mtlgym.problems.problem import Batch, OrderedSplit, Problem, Split

# Strings, so that a problem's libraries are imported only when it is built.
PROBLEMS = {
    "glue": "mtlgym.problems.glue:build",
    "nyuv2": "mtlgym.problems.nyuv2:build",
    "qm9": "mtlgym.problems.qm9:build",
}
# Those whose samples are routed.
IMAGE_PROBLEMS = {
    "cifar100": "mtlgym.problems.cifar100:build",
    "mini_imagenet": "mtlgym.problems.mini_imagenet:build",
    "mnist": "mtlgym.problems.mnist:build",
}

__all__ = [
    "IMAGE_PROBLEMS",
    "PROBLEMS",
    "Batch",
    "OrderedSplit",
    "Problem",
    "Split",
    "build",
    "build_images",
    "builder_options",
    "image_options",
]


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


def image_options(name: str) -> tuple[str, ...]:
    """The options of the image problem of that name.

    Raises:
        ValueError: for a name that is not in `IMAGE_PROBLEMS`.
    """
    builder = resolve_name(lookup(IMAGE_PROBLEMS, name, "problem"))
    return tuple(inspect.signature(builder).parameters)


def build_images(name: str, options: Mapping[str, Any]) -> ImageProblem:
    """Build the image problem of that name.

    Raises:
        ValueError: for a name that is not in `IMAGE_PROBLEMS`, or a value that is not allowed.
    """
    return resolve_name(lookup(IMAGE_PROBLEMS, name, "problem"))(**options)
