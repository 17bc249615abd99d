"""Search spaces for tuning: ranges of the settings of agents, methods and training."""

import inspect
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any

from mtlgym.agents import AGENTS
from mtlgym.agents import spec as specs
from mtlgym.balancing.gradients import GRADIENT_METHODS
from mtlgym.balancing.losses import LOSS_METHODS

DECAY = "weight_decay"
LEAST_DECAY = 1e-7  # which stands for none
SPAN = 10.0  # factor between an environment's own learning rate and the ends of its range


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; by their logarithm unless `even`."""

    low: float | int
    high: float | int
    even: bool = False
    whole: bool = False

    def suggest(self, trial: Any, name: str) -> Any:
        """A value for this trial of Optuna's."""
        suggest = trial.suggest_int if self.whole else trial.suggest_float
        return suggest(name, self.low, self.high, log=not self.even)

    def holds(self, value: Any) -> bool:
        """Whether the value lies in it."""
        real = isinstance(value, int | float) and not isinstance(value, bool)
        return real and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    def suggest(self, trial: Any, name: str) -> Any:
        """A value for this trial of Optuna's."""
        return trial.suggest_categorical(name, self.values)

    def holds(self, value: Any) -> bool:
        """Whether it is one of them."""
        return value in self.values


# By the name of an agent, a loss method or a gradient method; those that are missing have no
# settings worth a search.
SETTINGS: Mapping[str, Mapping[str, Range | Choice]] = {
    "actor_critic": {"learning_rate": Range(1e-4, 1e-2), "entropy": Range(0.0, 0.1, even=True)},
    "cagrad": {"c": Range(0.05, 0.95, even=True)},
    "counterfactual": {"entropy": Range(0.01, 1.0)},
    "db_mtl": {"beta": Range(0.0, 0.99, even=True)},
    "dwa": {"temperature": Range(0.5, 8.0), "window": Choice((0, 10, 25, 50))},
    "exp3": {"gamma": Range(0.01, 0.5)},
    "exp3s": {"eta": Range(1e-4, 1e-1), "epsilon": Range(0.01, 0.3)},
    "fairgrad": {"alpha": Range(0.5, 4.0)},
    "famo": {"lr": Range(1e-3, 1e-1), "gamma": Range(1e-4, 1e-1)},
    "go4align": {"step_size": Range(1e-5, 1e-1), "groups": Choice((1, 2, 3))},
    "graddrop": {"leak": Range(0.0, 1.0, even=True)},
    "gradnorm": {"alpha": Range(0.1, 4.0), "lr": Range(1e-3, 1e-1)},
    "igbv2": {
        "learning_rate": Range(1e-5, 1e-2),
        "temperature": Range(0.01, 1.0),
        "update_every": Range(5, 200, whole=True),
        "gamma": Choice((0.9, 0.99, 0.999)),
    },
    "q_learning": {"epsilon": Range(0.01, 0.5)},
    "reinforce": {"learning_rate": Range(1e-4, 1e-1)},
    "resting": {"growth": Range(1.0, 16.0), "rate": Range(0.01, 0.5)},
    "sliding_window_ucb": {"window": Range(50, 5000, whole=True), "c": Range(0.05, 4.0)},
    "thompson": {"strength": Range(0.1, 10.0), "discount": Range(0.9, 1.0, even=True)},
    "ucb1": {"c": Range(0.05, 4.0)},
    "uw": {"lr": Range(1e-3, 1e-1)},
    "wpl": {"learning_rate": Range(1e-3, 0.5), "value_step": Range(1e-3, 0.1)},
}
WEIGHTS = Range(-2.0, 2.0, even=True)  # of `fixed`: logits, so that weights are n softmax(logits)
FIXED = "fixed"


@dataclass(frozen=True)
class Space:
    """The search space of one spec in one environment.

    Attributes:
        spec: the agent or method; settings that it names are not searched.
        tasks: how many the environment has.
        training: ranges of options of the environment.
        defaults: the environment's own values of these.
    """

    spec: str
    tasks: int
    training: Mapping[str, Range] = field(default_factory=dict)
    defaults: Mapping[str, float] = field(default_factory=dict)

    @property
    def parts(self) -> list[tuple[str, str]]:
        """Name and settings of each method in the spec: one, or a gradient method after it."""
        texts = re.split(r"\+(?=[A-Za-z_])", self.spec)
        return [(name, settings) for name, _, settings in (text.partition(":") for text in texts)]

    @property
    def ranges(self) -> dict[str, Range | Choice]:
        """All that is searched, by names such as `lr`, `dwa.temperature` or `fixed.0`."""
        found: dict[str, Range | Choice] = dict(self.training)
        for name, settings in self.parts:
            if name == FIXED and not settings:
                found |= {f"{FIXED}.{task}": WEIGHTS for task in range(self.tasks)}
            for key, each in SETTINGS.get(name, {}).items():
                if not re.search(rf"(^|,)\s*{key}\s*=", settings):
                    found[f"{name}.{key}"] = each
        return found

    def start(self) -> dict[str, Any]:
        """The settings that everything has without a search: the published ones."""
        known: dict[str, Any] = dict(self.defaults)
        for name, _ in self.parts:
            known |= {f"{name}.{key}": value for key, value in _defaults(name).items()}
        first = self.parts[0][0]
        if first in AGENTS:  # a gradient method under its weights changes some
            own = specs.read(self.spec).settings
            known |= {f"{first}.{key}": value for key, value in own.items()}
        known |= {f"{FIXED}.{task}": 0.0 for task in range(self.tasks)}
        return {key: known[key] for key, each in self.ranges.items() if each.holds(known.get(key))}

    def suggest(self, trial: Any) -> dict[str, Any]:
        """Settings for a trial of Optuna's."""
        return {key: each.suggest(trial, key) for key, each in self.ranges.items()}

    def options(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """The settings that are options of the environment."""
        found = {key: chosen[key] for key in self.training}
        if found.get(DECAY, 1.0) <= LEAST_DECAY:
            found[DECAY] = 0.0
        return found

    def agent(self, chosen: Mapping[str, Any]) -> str:
        """The spec with the settings in it."""
        texts = []
        for name, settings in self.parts:
            own = {k.partition(".")[2]: v for k, v in chosen.items() if k.startswith(f"{name}.")}
            if name == FIXED and own:
                own = {"weights": _softmax([own[str(task)] for task in range(self.tasks)])}
            said = [f"{key}={json.dumps(value)}" for key, value in own.items()]
            both = ",".join([*([settings] if settings else []), *said])
            texts.append(f"{name}:{both}" if both else name)
        return "+".join(texts)


def _softmax(logits: Sequence[float]) -> list[float]:
    """Weights that sum to their number."""
    powers = [math.exp(each) for each in logits]
    return [round(len(powers) * each / sum(powers), 6) for each in powers]


def _defaults(name: str) -> dict[str, Any]:
    """The default settings of an agent or a method."""
    made: Any = {**LOSS_METHODS, **GRADIENT_METHODS}.get(name)
    if made is None and name in AGENTS:
        made = resolve_name(AGENTS[name].path)
    if made is None:
        return {}
    parameters = inspect.signature(made).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}
