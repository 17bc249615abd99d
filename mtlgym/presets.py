"""Presets: one TOML file a published protocol, and the ids that they register."""

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import gymnasium as gym

from mtlgym.lookup import lookup


@dataclass(frozen=True)
class Preset:
    """A protocol under an id.

    Attributes:
        id: the environment's id.
        title: what the environment is, in one line.
        entry_point: the environment's class as `module:class`.
        vector_entry_point: the class that `gym.make_vec` makes, where there is one of its own.
        options: what `gym.make` passes to it.
        published: figures of the papers, agent -> {"delta_m": ..., "T": ...} or {"score": ...}.
    """

    id: str
    title: str
    entry_point: str
    vector_entry_point: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    published: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def weighs(self) -> bool:
        """Whether an action can be task weights."""
        return self.entry_point.endswith(":TrainingEnv")

    @property
    def routes(self) -> bool:
        """Whether an episode is a sample's route, and a run steps the vector form."""
        return self.entry_point.endswith(":RoutingEnv")


@cache
def presets() -> dict[str, Preset]:
    """All presets by id."""
    found = {}
    for file in sorted(files("mtlgym.envs_config").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            preset = Preset(**tomllib.loads(file.read_text(encoding="utf-8")))
            found[preset.id] = preset
    return found


def preset(id: str) -> Preset:
    """The preset of that id.

    Raises:
        ValueError: for an id that has none; says which is nearest.
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
