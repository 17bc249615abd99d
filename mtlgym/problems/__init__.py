"""Multi-task problems: the table of their builders, and what a problem consists of."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pkgutil import resolve_name
from typing import Any

from mtlgym.datasets.sources import Source
from mtlgym.lookup import lookup
from mtlgym.metrics import Baseline, Metric
from mtlgym.problems.images import ImageProblem
from mtlgym.problems.problem import Annealed, Batch, OrderedSplit, Problem, Split

# Strings, so that a problem's libraries are imported only when it is built.
PROBLEMS = {
    "domainnet": "mtlgym.problems.domains:domainnet",
    "glue": "mtlgym.problems.glue:build",
    "imageclef": "mtlgym.problems.domains:imageclef",
    "nyuv2": "mtlgym.problems.nyuv2:build",
    "office_caltech": "mtlgym.problems.domains:office_caltech",
    "office_home": "mtlgym.problems.domains:office_home",
    "qm9": "mtlgym.problems.qm9:build",
}
# The problems of routing environments.
IMAGE_PROBLEMS = {
    "cifar100": "mtlgym.problems.cifar100:build",
    "mini_imagenet": "mtlgym.problems.mini_imagenet:build",
    "mnist": "mtlgym.problems.mnist:build",
}

__all__ = [
    "IMAGE_PROBLEMS",
    "PROBLEMS",
    "Annealed",
    "Baseline",
    "Batch",
    "ImageProblem",
    "Metric",
    "OrderedSplit",
    "Problem",
    "Source",
    "Split",
    "build",
    "build_images",
    "builder_options",
    "builder_parts",
    "image_options",
]


def builder_options(name: str) -> tuple[str, ...]:
    """The options of the problem of that name.

    An argument of its builder that is a dataclass counts as one option for each of its fields.

    Raises:
        ValueError: for a name that is not in `PROBLEMS`.
    """
    builder = resolve_name(lookup(PROBLEMS, name, "problem"))
    parts = builder_parts(builder)
    plain = [each for each in inspect.signature(builder).parameters if each not in parts]
    return (*plain, *(field.name for part in parts.values() for field in fields(part)))


def builder_parts(builder: Callable[..., Any]) -> dict[str, type]:
    """The classes of those arguments of a builder that are dataclasses, by argument name."""
    defaults = {k: p.default for k, p in inspect.signature(builder).parameters.items()}
    return {k: type(v) for k, v in defaults.items() if is_dataclass(v) and not isinstance(v, type)}


def build(name: str, options: Mapping[str, Any]) -> Problem:
    """Build the problem of that name.

    Raises:
        ValueError: for a name that is not in `PROBLEMS`, or an option's value that is not allowed.
    """
    builder = resolve_name(lookup(PROBLEMS, name, "problem"))
    plain, parts = dict(options), {}
    for argument, kind in builder_parts(builder).items():
        own = {field.name for field in fields(kind)}
        parts[argument] = kind(**{key: plain.pop(key) for key in own & plain.keys()})
    return builder(**plain, **parts)


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
