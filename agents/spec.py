"""Specs: texts that name an agent, its settings, and the gradient method under its weights."""

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any

from gymnasium import spaces

from mtlgym.agents import AGENTS, Agent
from mtlgym.balancing.losses import LOSS_METHODS
from mtlgym.balancing.method import GRADIENTS, gradient_method, parse, read_settings
from mtlgym.lookup import lookup


@dataclass(frozen=True)
class Spec:
    """A parsed spec.

    Attributes:
        agent: a key of `AGENTS`.
        settings: arguments of the agent.
        gradient: a gradient method's own spec, empty for none.
        transform: the transform of the losses that the weights multiply; None takes the one in the
            agent's options.
        same_batch: whether the agent needs the losses of each batch after its update too.
    """

    agent: str
    settings: dict[str, Any] = field(default_factory=dict)
    gradient: str = ""
    transform: str | None = None
    same_batch: bool = False

    def make(
        self,
        observations: spaces.Space,
        actions: spaces.Space,
        seed: int | None,
        tasks: Sequence[str] | None = None,
    ) -> Agent:
        """The agent; the tasks' names are passed to one with an argument `tasks`."""
        settings = dict(self.settings)
        if tasks and "tasks" in _defaults(self.agent):
            settings.setdefault("tasks", tuple(tasks))
        return resolve_name(AGENTS[self.agent].path)(observations, actions, seed=seed, **settings)

    def options(self) -> dict[str, Any]:
        """The options that the environment must be made with."""
        options = dict(AGENTS[self.agent].options)
        if self.transform is not None:
            options["transform"] = self.transform
        if self.same_batch:
            options["same_batch"] = True
        if self.gradient:
            options["aggregator"] = self.gradient
        return options


def read(text: str) -> Spec:
    """Read "AGENT:key=value+GRADIENT", or a balancing method's spec.

    Raises:
        ValueError: names the part that is unknown or malformed, and the known names.
    """
    first, *rest = re.split(r"\+(?=[A-Za-z_])", text)
    name, _, settings = first.partition(":")
    known = {**AGENTS, **LOSS_METHODS, **dict.fromkeys(GRADIENTS)}
    lookup(known, name, "agent")
    if name not in AGENTS:
        return _method(text)
    if len(rest) > 1:
        raise ValueError(f"`spec` must name at most one gradient method, not {rest}, in {text!r}")
    gradient = rest[0] if rest else ""
    changed: Mapping[str, Any] = {}
    if gradient:
        gradient_method(gradient)
        changed = AGENTS[name].combined.get(gradient.partition(":")[0], {})
    given = read_settings(settings, _defaults(name), f"agent {name!r}")
    lists = {key: tuple(value) for key, value in given.items() if isinstance(value, list)}
    return Spec(name, {**changed, **given, **lists}, gradient)


def _method(text: str) -> Spec:
    """A balancing method as an agent; a gradient method alone is put under equal weights."""
    method, gradient = parse(text)
    under = re.split(r"\+(?=[A-Za-z_])", text)[-1] if gradient is not None else ""
    if method is None:
        assert gradient is not None
        transform = gradient.transform
        settings = {"method": "equal" if transform == "none" else f'equal:transform="{transform}"'}
        return Spec("balancing", settings, under, transform)
    alone = text.removesuffix(f"+{under}") if under else text
    return Spec("balancing", {"method": alone}, under, method.transform, method.needs_same_batch)


def _defaults(name: str) -> dict[str, Any]:
    """The settings of an agent, and their default values."""
    parameters = inspect.signature(resolve_name(AGENTS[name].path)).parameters
    apart = ("observation_space", "action_space", "seed")
    return {key: p.default for key, p in parameters.items() if key not in apart}
