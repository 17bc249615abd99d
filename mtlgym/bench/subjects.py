"""What a run needs of each kind of environment beside the Gymnasium API."""

import math
from typing import Any, Protocol, runtime_checkable

import gymnasium as gym
import numpy as np

from mtlgym.bench.means import Means
from mtlgym.envs import infos
from mtlgym.envs.bandit import BanditEnv
from mtlgym.envs.training import TrainingEnv
from mtlgym.metrics import delta_m, mean_score

ROWS = 100  # in the log of an episode without epochs


@runtime_checkable
class Subject(Protocol):
    """An environment that a run logs and measures.

    Attributes:
        env: the environment, unwrapped.
        tasks: the tasks' or arms' names.
    """

    env: Any
    tasks: tuple[str, ...]

    def period(self) -> int:
        """Steps from one row of the log to the next; asked once an episode is open."""

    def budget(self) -> int:
        """Steps in an episode; asked once one is open."""

    def losses(self, info: dict[str, Any]) -> np.ndarray:
        """What the next step trains on, (tasks,)."""

    def weights(self, action: Any, info: dict[str, Any]) -> np.ndarray:
        """What a step gave each task, (tasks,)."""

    def row(self, means: Means, info: dict[str, Any]) -> dict[str, Any]:
        """What the log says of a period, given its means and its last info."""

    def result(self, info: dict[str, Any]) -> dict[str, Any]:
        """The finished episode's figures, given its last info; this alone reads the test set."""


class TrainingSubject:
    """A training: rows at validations, figures on the test split."""

    def __init__(self, env: TrainingEnv) -> None:
        """Take the environment."""
        self.env = env
        self.tasks = env.problem.tasks

    def period(self) -> int:
        """Steps from one validation to the next, or in an epoch."""
        steps = self.env.configuration.training.validate_steps
        return steps or self.env.episode.steps_per_epoch

    def budget(self) -> int:
        """Optimizer steps."""
        return self.env.episode.budget

    def losses(self, info: dict[str, Any]) -> np.ndarray:
        """The losses, in their tasks' units."""
        return info["losses"]

    def weights(self, action: Any, info: dict[str, Any]) -> np.ndarray:
        """The decision's task weights."""
        return info["weights"]

    def row(self, means: Means, info: dict[str, Any]) -> dict[str, Any]:
        """Means of the period, and the last validation."""
        validation = self.env.episode.learner.validation
        return {
            **means.row(),
            "lr": info["lr"],
            "score": finite(validation.score),
            "validation": {key: finite(x) for key, x in validation.values.items()},
            "failure": info["failure"],
        }

    def result(self, info: dict[str, Any]) -> dict[str, Any]:
        """The figures of the parameters that validated best, or of the last ones."""
        problem, learner = self.env.problem, self.env.episode.learner
        values = self.env.evaluate("test", best=True)
        baseline, metrics = problem.baseline, problem.metrics
        drop = delta_m(values, baseline.values, metrics) if baseline else math.nan
        figures = {
            "data": problem.source.kind,
            "data_sha256": problem.source.sha256,
            "test": {key: finite(value) for key, value in values.items()},
            "units": {metric.key: metric.unit for metric in metrics},
            "best_validation_score": finite(learner.validation.best_score),
            "delta_m": finite(drop),
            "baseline": baseline.source if baseline else None,
            "failure": info["failure"],
        }
        if self.env.settings.interface == "tasks":
            figures["task_sizes"] = infos.sizes(problem, self.env.settings)["task_sizes"].tolist()
        # A mean over metrics means something where they have one unit and one direction.
        if all(m.higher_is_better and m.unit == metrics[0].unit for m in metrics):
            figures["test"] = {"score": finite(mean_score(values, metrics)), **figures["test"]}
            figures["units"]["score"] = metrics[0].unit
        return figures


class BanditSubject:
    """A bandit: a hundred rows an episode, and the final scores as figures."""

    def __init__(self, env: BanditEnv) -> None:
        """Take the environment."""
        self.env = env
        self.tasks = env.tasks

    def period(self) -> int:
        """A hundredth of the episode."""
        return max(1, self.env.budget // ROWS)

    def budget(self) -> int:
        """Pulls."""
        return self.env.budget

    def losses(self, info: dict[str, Any]) -> np.ndarray:
        """What each arm's score is short of 1."""
        return 1.0 - info["score"]

    def weights(self, action: Any, info: dict[str, Any]) -> np.ndarray:
        """1 for the arm that was pulled."""
        return np.eye(len(self.tasks))[action]

    def row(self, means: Means, info: dict[str, Any]) -> dict[str, Any]:
        """Means of the period, and what the mean score is short of 1."""
        return {**means.row(), "score": 1.0 - info["mean_score"], "failure": ""}

    def result(self, info: dict[str, Any]) -> dict[str, Any]:
        """The final mean score."""
        return {
            "data": "synthetic",
            "data_sha256": "",
            "test": {"score": info["mean_score"]},
            "units": {"score": ""},
            "best_validation_score": None,
            "delta_m": None,
            "baseline": None,
            "failure": "",
        }


def subject(env: gym.Env) -> Subject:
    """What a run needs of this environment.

    Raises:
        ValueError: for an environment that no run can be made of.
    """
    bare = env.unwrapped
    if isinstance(bare, TrainingEnv):
        return TrainingSubject(bare)
    if isinstance(bare, BanditEnv):
        return BanditSubject(bare)
    raise ValueError(f"`env` must be a training or bandit environment, not {type(bare).__name__}")


def finite(value: float) -> float | None:
    """The value, None if it is not finite: JSON has no word for that."""
    return value if math.isfinite(value) else None
