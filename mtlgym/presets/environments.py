"""Presets: one TOML file a published protocol, and the ids that they register."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import gymnasium as gym

from mtlgym import checks
from mtlgym.lookup import lookup, unknown

KINDS = ("training", "routing", "bandit")  # of environments
# The forms of texts, and their descriptions in messages.
FORMS = {
    "id": (r"MTL-[\w-]+-v\d+", "MTL-NAME-vN"),
    "entry_point": (r"[\w.]+:\w+", "module:class"),
    "vector_entry_point": (r"[\w.]+:\w+", "module:class"),
    "kind": ("|".join(KINDS), f"one of {', '.join(KINDS)}"),
    "title": (r".*\S.*", "a text in one line"),
}


@dataclass(frozen=True)
class Preset:
    """A protocol under an id.

    Attributes:
        id: the environment's id.
        title: what the environment is, in one line.
        kind: one of `KINDS`; decides how a run steps, logs and measures the environment.
        entry_point: the environment's class as `module:class`.
        vector_entry_point: the class of `gym.make_vec`, where the environment has one.
        options: keyword arguments of the class.
        published: figures of the papers, agent -> {"delta_m": ..., "T": ...} or {"score": ...}.
    """

    id: str
    title: str
    kind: str
    entry_point: str
    vector_entry_point: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    published: dict[str, dict[str, float]] = field(default_factory=dict)


@cache
def presets() -> dict[str, Preset]:
    """All presets by id.

    Raises:
        ValueError: for a file that is no preset; names it.
    """
    paths = sorted(files("mtlgym.envs_config").iterdir(), key=lambda path: path.name)
    found = [read(path) for path in paths if path.name.endswith(".toml")]
    return {each.id: each for each in found}


def read(path: Traversable) -> Preset:
    """The preset in a file; its options are checked when the environment is made.

    Raises:
        ValueError: for an unknown key or a wrong value; names the file.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        known = {each.name: each for each in fields(Preset)}
        for key, value in content.items():
            if key not in known:
                raise ValueError(unknown(key, known, "key"))
            _check(key, value)
        for name, each in known.items():
            if name not in content and each.default is each.default_factory is MISSING:
                raise ValueError(f"`{name}` is missing")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name}: {error}") from error
    return Preset(**content)


def preset(id: str) -> Preset:
    """The preset of that id.

    Raises:
        ValueError: for an id that has none; names the nearest.
    """
    return lookup(presets(), id, "environment id")


def register_all() -> None:
    """Register every preset's id with Gymnasium, by string; safe to call again."""
    for each in presets().values():
        if each.id not in gym.registry:
            gym.register(
                each.id,
                entry_point=each.entry_point,
                vector_entry_point=each.vector_entry_point,
                kwargs=each.options,
            )


def _check(key: str, value: Any) -> None:
    """Refuse a value that the key cannot have."""
    if key in FORMS:
        pattern, told = FORMS[key]
        if not isinstance(value, str) or not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(f"`{key}` must be {told}, not {value!r}")
    elif not isinstance(value, Mapping):
        raise ValueError(f"`{key}` must be a table, not {value!r}")
    elif key == "published":
        for agent, figures in value.items():
            if not isinstance(figures, Mapping):
                raise ValueError(f"`published.{agent}` must be a table, not {figures!r}")
            for figure, number in figures.items():
                checks.real(f"published.{agent}.{figure}", number)
