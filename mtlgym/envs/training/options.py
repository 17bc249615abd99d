"""The options of training environments, and the configuration that is built from them."""

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
class TrainingOptions:
    """What the agent observes, what it decides, and its reward.

    Attributes:
        interface: `weights`, the agent weighs the tasks of every batch, or `tasks`, it chooses the
            task of the next batch.
        actions: form of weight actions: `logits` or `weights`.
        scale: factor of logits; the weights are n softmax(scale a).
        transform: what the weights multiply: `log`, the logarithms of the losses, or `none`, the
            losses. The default is `log` for weights and `none` for tasks.
        reward: a key of `REWARDS`, or a function `(before, after) -> float` of two records, with
            the attribute `needs_base_losses` or `needs_same_batch` if it reads these. The default
            is `min_loss_decline` for weights and `prediction_gain` for tasks.
        observation: keys of `FEATURES`.
        base_epoch: the epoch, counted from 1, whose mean losses are L_base; in a training that
            ends before it, rewards in units of L_base are always 0.
        same_batch: whether the losses of the batch just trained on are computed again after the
            update; `info` then has `trained_losses` and `retrained_losses`. Costs one forward pass.
        failure_reward: the reward of a step in which the training fails.
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
        """Check the values, and fill in the interface's defaults."""
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
        """The reward as a function."""
        assert self.reward is not None
        return REWARDS[self.reward] if isinstance(self.reward, str) else self.reward

    def compute_reward(self, before: Record, after: Record) -> float:
        """The reward of the step between the two records.

        Raises:
            ValueError: if the function's result is not finite; names the function.
        """
        if after.failed:
            return float(self.failure_reward)
        reward = float(self.reward_function(before, after))
        if not math.isfinite(reward):
            raise ValueError(f"`reward` {self.reward!r} gave {reward}; it must be finite")
        return reward

    @property
    def needs_same_batch(self) -> bool:
        """Whether the losses of the batch just trained on are computed again after each step."""
        reward = self.reward_function
        needed = reward in NEEDS_SAME_BATCH or getattr(reward, "needs_same_batch", False)
        return self.same_batch or needed

    @property
    def needs_base_losses(self) -> bool:
        """Whether the reward is 0 until L_base is known."""
        reward = self.reward_function
        return reward in NEEDS_BASE_LOSSES or getattr(reward, "needs_base_losses", False)


NESTED = ("balance", "hardware")  # fields of `Training` that have fields of their own


def _fields(kind: type) -> list[str]:
    """The names of a part's options."""
    return [field.name for field in dataclasses.fields(kind) if field.name not in NESTED]


PARTS = (TrainingOptions, Training, Balance, Hardware)
KNOWN = [name for part in PARTS for name in _fields(part)]


@dataclass(frozen=True, eq=False)
class TrainingConfiguration:
    """The parts that a training environment is built from.

    Attributes:
        problem: the problem that the model learns.
        training: how the model is trained.
        options: what the agent observes and decides.
        description: all of these as plain values; environments with equal descriptions can load
            each other's checkpoints.
    """

    problem: Problem
    training: Training
    options: TrainingOptions
    description: dict[str, Any]


def configure(
    problem: str | Problem, baseline: Baseline | Mapping[str, Any] | None, options: dict[str, Any]
) -> TrainingConfiguration:
    """Distribute the flat options over the parts, check them, and build the problem.

    Raises:
        ValueError: for an option that is in none of `PARTS` and no argument of the problem's
            builder, or a value that is not allowed.
    """
    own = TrainingOptions(**_take(options, TrainingOptions))
    balance, hardware = Balance(**_take(options, Balance)), Hardware(**_take(options, Hardware))
    training = Training(**_take(options, Training), balance=balance, hardware=hardware)
    if balance.aggregator is not None and own.interface == "tasks":
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
        built = dataclasses.replace(built, baseline=_parse_baseline(baseline))
    if built.baseline is not None:
        _check_baseline(built.baseline, built)
    return TrainingConfiguration(built, training, own, _describe(built, training, own, rest))


def _parse_baseline(given: Baseline | Mapping[str, Any]) -> Baseline:
    if isinstance(given, Baseline):
        return given
    if not isinstance(given, Mapping) or not isinstance(given.get("values"), Mapping):
        raise ValueError(f"`baseline` must have `source` and the table `values`, not {given!r}")
    return Baseline(str(given.get("source", "")), given["values"])


def _check_baseline(baseline: Baseline, problem: Problem) -> None:
    """Check that the baseline has a nonzero value of every metric that Delta_m compares."""
    for metric in judged(problem.metrics):
        if metric.key not in baseline.values:
            present = sorted(baseline.values)
            raise ValueError(f"`baseline` lacks {metric.key!r}; it has {present}")
        value = baseline.values[metric.key]
        checks.real(f"baseline.values[{metric.key!r}]", value)
        if value == 0:
            raise ValueError(f"`baseline` has 0 for {metric.key!r}: no drop is relative to that")


def _take(options: Mapping[str, Any], kind: type) -> dict[str, Any]:
    return {name: options[name] for name in _fields(kind) if name in options}


def _describe(
    problem: Problem, training: Training, own: TrainingOptions, rest: Mapping[str, Any]
) -> dict[str, Any]:
    parts = (training, training.balance, training.hardware, own)
    plain = {
        "problem": problem.name,
        "tasks": problem.tasks,
        "data": problem.source.kind,
        "data_sha256": problem.source.sha256,
        "pretrained": problem.pretrained,
        "baseline": dataclasses.asdict(problem.baseline) if problem.baseline else None,
        **{key: value for key, value in rest.items() if key != "data"},
        **{k: v for part in parts for k, v in dataclasses.asdict(part).items()},
    }
    for left_out in (*NESTED, "device", "distributed"):
        plain.pop(left_out)
    return json.loads(json.dumps(plain, default=_name))


def _name(value: Any) -> str:
    """A substitute for a value that JSON lacks: a function's name, an object's type."""
    if isinstance(value, np.generic):
        return value.item()
    return getattr(value, "__qualname__", type(value).__qualname__)
