"""Sorts an environment's flat options into the parts that they belong to."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from mtlgym import checks
from mtlgym.envs.settings import Settings
from mtlgym.lookup import unknown
from mtlgym.metrics import Baseline, judged
from mtlgym.problems import build, builder_options
from mtlgym.problems.problem import Problem
from mtlgym.training.balance import Balance
from mtlgym.training.hardware import Hardware
from mtlgym.training.settings import Training


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
