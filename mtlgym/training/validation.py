"""Validation during a training, and the parameters that validated best."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from mtlgym.distributed.process_group import TrainingGroup
from mtlgym.lookup import lookup
from mtlgym.metrics import delta_m, judged, mean_score
from mtlgym.problems.problem import Problem


def measure(problem: Problem, model: nn.Module, split: str) -> dict[str, float]:
    """The metrics of the model on a split; every module's mode is the same afterwards.

    Raises:
        ValueError: for a split that the problem does not have.
    """
    data = lookup(problem.splits, split, "split")
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            return problem.measure(model, data)
    finally:
        for module, training in modes:
            module.training = training


class Validation:
    """Scores the model on the validation split and keeps the parameters that scored best.

    Attributes:
        score: the last score, lower is better: Delta_m in percent where the problem has a
            baseline, else the mean over tasks of a task's mean metric, negated where higher is
            better. Tasks without samples are left out; infinity if no task has any.
        best_score: the lowest score so far, infinity before the first.
        values: the last validation's `task/metric` values.
    """

    def __init__(
        self, problem: Problem, *, keep_best: bool = True, group: TrainingGroup | None = None
    ) -> None:
        """Start without a score; `keep_best` is whether the best parameters are kept.

        With a process group the leader validates and sends the metrics to the others.
        """
        self._group = group
        self._problem = problem
        self._keep_best = keep_best
        self._best: dict[str, Any] | None = None
        self.score = float("inf")
        self.best_score = float("inf")
        self.values: dict[str, float] = {}

    def run(self, model: nn.Module) -> None:
        """Validate the model; keep a copy of its state if its score is the best."""
        self.values = self._measure(model)
        self.score = self._score(self.values)
        if self.score < self.best_score:
            self.best_score = self.score
            if self._keep_best:
                self._best = copy.deepcopy(model.state_dict())

    def best_model(self, model: nn.Module) -> nn.Module:
        """A copy of the model with the best parameters; the model itself if none are kept."""
        if self._best is None:
            return model
        best = copy.deepcopy(model)
        best.load_state_dict(self._best)
        return best

    def _measure(self, model: nn.Module) -> dict[str, float]:
        if self._group is None:
            return measure(self._problem, model, "val")
        return self._group.run_on_leader(lambda: measure(self._problem, model, "val"))

    def _score(self, values: Mapping[str, float]) -> float:
        baseline = self._problem.baseline
        metrics = [m for m in judged(self._problem.metrics) if m.key in values]
        if not metrics:
            return float("inf")
        if baseline is not None:
            return delta_m(values, baseline.values, metrics)
        return mean_score(
            {m.key: -values[m.key] if m.higher_is_better else values[m.key] for m in metrics},
            metrics,
        )

    def state_dict(self) -> dict[str, Any]:
        """The scores and the best parameters, not copied, as the learner copies its whole state."""
        names = ("score", "best_score", "values", "_best")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state returned by `state_dict`."""
        for name, value in state.items():
            setattr(self, name, copy.deepcopy(value))
