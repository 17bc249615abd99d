"""What a run needs of each kind of environment beside the Gymnasium API."""

import math
from typing import Any, Protocol, runtime_checkable

from mtlgym.bench.bandit_subject import BanditSubject
from mtlgym.bench.means import Means, finite
from mtlgym.bench.routing_subject import RoutingSubject
from mtlgym.envs import infos
from mtlgym.envs.bandit import BanditEnv
from mtlgym.envs.routing import RoutingVectorEnv
from mtlgym.envs.training import TrainingEnv
from mtlgym.metrics import delta_m, judged, mean_score


@runtime_checkable
class Subject(Protocol):
    """An environment that a run logs and measures.

    Attributes:
        env: the environment, unwrapped.
        tasks: the tasks' or arms' names.
        selects: whether a decision is the choice of a task, so that policies can learn from a log
            of them.
        source: `kind` and `sha256` of the data.
    """

    env: Any
    tasks: tuple[str, ...]
    selects: bool
    source: dict[str, str]

    def period(self) -> int:
        """Steps from one row of the log to the next; asked once an episode is open."""

    def budget(self) -> int:
        """Steps in an episode; asked once one is open."""

    def count(
        self, means: Means, before: dict[str, Any], action: Any, reward: Any, after: dict[str, Any]
    ) -> None:
        """Count a step, if it trained: what on, what it gave each task, and its reward."""

    def row(self, means: Means, info: dict[str, Any]) -> dict[str, Any]:
        """What the log says of a period, given its means and its last info."""

    def result(self, info: dict[str, Any], split: str) -> dict[str, Any]:
        """The finished episode's figures on the split; with `test` this alone reads the test set.

        Args:
            info: the episode's last.
            split: `test` or `val`, the name under which the metrics stand in the result.
        """

    def state_dict(self) -> dict[str, Any]:
        """What it has gathered over the episode so far, for a run that goes on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""


class TrainingSubject:
    """A training: rows at validations, figures on the test split."""

    def __init__(self, env: TrainingEnv) -> None:
        """Take the environment."""
        self.env = env
        self.tasks = env.problem.tasks
        self.selects = env.settings.interface == "tasks"
        self.source = {"kind": env.problem.source.kind, "sha256": env.problem.source.sha256}

    def period(self) -> int:
        """Steps from one validation to the next, or in an epoch."""
        steps = self.env.configuration.training.validate_steps
        return steps or self.env.episode.steps_per_epoch

    def budget(self) -> int:
        """Optimizer steps."""
        return self.env.episode.budget

    def count(
        self, means: Means, before: dict[str, Any], action: Any, reward: Any, after: dict[str, Any]
    ) -> None:
        """Count the losses, in their tasks' units, and the decision's task weights."""
        means.add(before["losses"], after["weights"], reward)

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

    def result(self, info: dict[str, Any], split: str) -> dict[str, Any]:
        """The figures of the parameters that validated best, or of the last ones."""
        problem, learner = self.env.problem, self.env.episode.learner
        values = self.env.evaluate(split, best=True)
        baseline, metrics = problem.baseline, problem.metrics
        drop = delta_m(values, baseline.values, metrics) if baseline else math.nan
        figures = {
            "data": problem.source.kind,
            "data_sha256": problem.source.sha256,
            split: {key: finite(value) for key, value in values.items()},
            "units": {metric.key: metric.unit for metric in metrics},
            "higher_is_better": {metric.key: metric.higher_is_better for metric in metrics},
            "judged": [metric.key for metric in judged(metrics)],
            "best_validation_score": finite(learner.validation.best_score),
            "delta_m": finite(drop),
            "baseline": baseline.source if baseline else None,
            "failure": info["failure"],
            **problem.findings(learner.validation.best_model(learner.model)),
        }
        if self.env.settings.interface == "tasks":
            figures["task_sizes"] = infos.sizes(problem, self.env.settings)["task_sizes"].tolist()
        # A mean over metrics means something where they have one unit and one direction.
        counted = judged(metrics)
        if all(m.higher_is_better and m.unit == counted[0].unit for m in counted):
            figures[split] = {"score": finite(mean_score(values, metrics)), **figures[split]}
            figures["units"]["score"] = counted[0].unit
            figures["higher_is_better"]["score"] = counted[0].higher_is_better
        return figures

    def state_dict(self) -> dict[str, Any]:
        """Nothing: all that counts is in the environment."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to continue from."""


def subject(env: Any, agent: Any) -> Subject:
    """What a run of the agent needs of this environment.

    Raises:
        ValueError: for an environment that no run can be made of.
    """
    bare = env.unwrapped
    if isinstance(bare, RoutingVectorEnv):
        return RoutingSubject(bare, agent)
    if isinstance(bare, TrainingEnv):
        return TrainingSubject(bare)
    if isinstance(bare, BanditEnv):
        return BanditSubject(bare)
    raise ValueError(f"`env` must be an environment of mtlgym, not {type(bare).__name__}")
