"""Sorts an environment's flat options into the parts that they belong to."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtlgym import checks
from mtlgym.balancing.objective import TRANSFORMS
from mtlgym.envs.training.observations import FEATURES
from mtlgym.envs.training.rewards import NEEDS_BASE_LOSSES, NEEDS_SAME_BATCH, REWARDS, Reward
from mtlgym.lookup import lookup, unknown
from mtlgym.metrics import Baseline, judged
from mtlgym.problems import build, builder_options
from mtlgym.problems.problem import Problem
from mtlgym.record import Record
from mtlgym.training.hardware import Hardware
from mtlgym.training.options import Balance, Training

INTERFACES = ("weights", "tasks")
ACTIONS = ("logits", "weights")


@dataclass(frozen=True)
class Settings:
    """What an agent sees of a training and what it decides.

    Attributes:
        interface: `weights`, the agent weighs the tasks of every batch, or `tasks`, it picks the
            task that the next batch is of.
        actions: form of weight actions: `logits` or `weights`.
        scale: of logits; the weights are n softmax(scale a).
        transform: what weights multiply: `log` losses or, with `none`, the losses. The default is
            `log` for weights and `none` for tasks.
        reward: a key of `REWARDS`, or a function `(before, after) -> float` of two records, with
            the attribute `needs_base_losses` or `needs_same_batch` if it reads these. The default
            is `min_loss_decline` for weights and `prediction_gain` for tasks.
        observation: keys of `FEATURES`.
        base_epoch: the epoch, counted from 1, whose mean losses are L_base; in a training that
            ends before, rewards that are in units of L_base are 0 throughout.
        same_batch: whether the batch just trained on is computed once more after the update; `info`
            then has `trained_losses` and `retrained_losses`. Costs one forward pass.
        failure_reward: the reward of a step after which the training is broken.
    """

    interface: str = "weights"
    actions: str = "logits"
    scale: float = 2.0
    transform: str | None = None
    reward: str | Reward | None = None
    observation: Sequence[str] = ("losses",)
    base_epoch: int = 2
    same_batch: bool = False
    failure_reward: float = -1.0

    def __post_init__(self) -> None:
        """Refuse what makes no environment, and fill in the interface's defaults."""
        for name, known in (("interface", INTERFACES), ("actions", ACTIONS)):
            lookup(dict.fromkeys(known), getattr(self, name), name)
        tasks = self.interface == "tasks"
        if self.transform is None:
            object.__setattr__(self, "transform", "none" if tasks else "log")
        if self.reward is None:
            object.__setattr__(self, "reward", "prediction_gain" if tasks else "min_loss_decline")
        assert self.transform is not None
        lookup(dict.fromkeys(TRANSFORMS), self.transform, "transform")
        if isinstance(self.reward, str):
            lookup(REWARDS, self.reward, "reward")
        elif not callable(self.reward):
            raise ValueError(f"`reward` must be a name or a function, not {self.reward!r}")
        names = self.observation
        if isinstance(names, str) or not isinstance(names, Sequence) or not names:
            raise ValueError(f"`observation` must be a sequence of feature names, not {names!r}")
        for name in names:
            lookup(FEATURES, name, "feature")
        checks.integer("base_epoch", self.base_epoch, least=1, most=checks.WHOLE - 1)
        checks.real("scale", self.scale, 0.0, open_end=True, most=checks.MOST)
        checks.flag("same_batch", self.same_batch)
        checks.real("failure_reward", self.failure_reward, -checks.MOST, most=checks.MOST)

    @property
    def reward_function(self) -> Reward:
        """The reward itself."""
        assert self.reward is not None
        return REWARDS[self.reward] if isinstance(self.reward, str) else self.reward

    def pay(self, before: Record, after: Record) -> float:
        """The reward of the step between the two records.

        Raises:
            ValueError: if the function gave none that is finite; names it.
        """
        if after.failed:
            return float(self.failure_reward)
        reward = float(self.reward_function(before, after))
        if not math.isfinite(reward):
            raise ValueError(f"`reward` {self.reward!r} gave {reward}; it must be finite")
        return reward

    @property
    def retraces(self) -> bool:
        """Whether each step computes the trained batch once more."""
        reward = self.reward_function
        needed = reward in NEEDS_SAME_BATCH or getattr(reward, "needs_same_batch", False)
        return self.same_batch or needed

    @property
    def awaits_base_losses(self) -> bool:
        """Whether the reward is 0 until L_base is known."""
        reward = self.reward_function
        return reward in NEEDS_BASE_LOSSES or getattr(reward, "needs_base_losses", False)


def _fields(kind: type) -> list[str]:
    """The options of a part; the parts that `Training` has in it have options of their own."""
    return [field.name for field in dataclasses.fields(kind) if field.name not in NESTED]


NESTED = ("balance", "hardware")
PARTS = (Settings, Training, Balance, Hardware)
KNOWN = [name for part in PARTS for name in _fields(part)]


@dataclasses.dataclass(frozen=True, eq=False)
class Configuration:
    """All that makes a training environment.

    Attributes:
        problem: what is learnt.
        training: how.
        settings: what the agent sees and decides.
        description: the same in plain values; two environments of equal descriptions continue
            each other's checkpoints.
    """

    problem: Problem
    training: Training
    settings: Settings
    description: dict[str, Any]


def configure(
    problem: str | Problem, baseline: Baseline | Mapping[str, Any] | None, options: dict[str, Any]
) -> Configuration:
    """Check the options, then build the problem.

    Raises:
        ValueError: for an option that neither one of `PARTS` nor the problem's builder has, or a
            value that is not allowed.
    """
    settings = Settings(**_take(options, Settings))
    balance, hardware = Balance(**_take(options, Balance)), Hardware(**_take(options, Hardware))
    training = Training(**_take(options, Training), balance=balance, hardware=hardware)
    if balance.aggregator is not None and settings.interface == "tasks":
        raise ValueError(
            f"`aggregator` {balance.aggregator!r} balances the gradients of a joint batch, which "
            "there is none of with `interface='tasks'`"
        )
    rest = {key: options[key] for key in options if key not in KNOWN}
    if isinstance(problem, str):
        known = builder_options(problem)
        for option in rest:
            if option not in known:
                raise ValueError(unknown(option, [*known, *KNOWN], "option"))
        built = build(problem, rest)
    elif rest:
        raise ValueError(unknown(next(iter(rest)), KNOWN, "option"))
    else:
        built = problem
    if baseline is not None:
        given = _baseline(baseline)
        built = dataclasses.replace(built, baseline=given)
    if built.baseline is not None:
        _check(built.baseline, built)
    return Configuration(built, training, settings, _describe(built, training, settings, rest))


def _baseline(given: Baseline | Mapping[str, Any]) -> Baseline:
    if isinstance(given, Baseline):
        return given
    if not isinstance(given, Mapping) or not isinstance(given.get("values"), Mapping):
        raise ValueError(f"`baseline` must have `source` and the table `values`, not {given!r}")
    return Baseline(str(given.get("source", "")), given["values"])


def _check(baseline: Baseline, problem: Problem) -> None:
    """See that Delta_m is defined against the baseline."""
    for metric in judged(problem.metrics):
        if metric.key not in baseline.values:
            found = sorted(baseline.values)
            raise ValueError(f"`baseline` lacks {metric.key!r}; it has {found}")
        value = baseline.values[metric.key]
        checks.real(f"baseline.values[{metric.key!r}]", value)
        if value == 0:
            raise ValueError(f"`baseline` has 0 for {metric.key!r}: no drop is relative to that")


def _take(options: Mapping[str, Any], kind: type) -> dict[str, Any]:
    return {name: options[name] for name in _fields(kind) if name in options}


def _describe(
    problem: Problem, training: Training, settings: Settings, options: Mapping[str, Any]
) -> dict[str, Any]:
    parts = (training, training.balance, training.hardware, settings)
    plain = {
        "problem": problem.name,
        "tasks": problem.tasks,
        "data": problem.source.kind,
        "data_sha256": problem.source.sha256,
        "pretrained": problem.pretrained,
        "baseline": dataclasses.asdict(problem.baseline) if problem.baseline else None,
        **{key: value for key, value in options.items() if key != "data"},
        **{k: v for part in parts for k, v in dataclasses.asdict(part).items()},
    }
    for unsaid in (*NESTED, "device", "distributed"):
        plain.pop(unsaid)
    return json.loads(json.dumps(plain, default=_name))


def _name(value: Any) -> str:
    """What stands for a value that JSON lacks: a function's name, an object's type."""
    if isinstance(value, np.generic):
        return value.item()
    return getattr(value, "__qualname__", type(value).__qualname__)
