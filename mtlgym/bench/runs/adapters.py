"""What a run needs of each kind of environment beside the Gymnasium API."""

import math
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mtlgym.bench.runs.logs import Means, finite
from mtlgym.envs.bandit.env import BanditEnv
from mtlgym.envs.routing import RoutingVectorEnv, evaluation
from mtlgym.envs.training.env import TrainingEnv, task_sizes
from mtlgym.metrics import delta_m, judged, mean_score

ROWS = 100  # in the log of an episode


class BanditSubject:
    """A bandit: a hundred rows an episode, and the final scores as figures."""

    def __init__(self, env: BanditEnv) -> None:
        """Take the environment."""
        self.env = env
        self.tasks = env.tasks
        self.selects = True
        self.source = {"kind": "synthetic", "sha256": ""}
        self._gained = 0.0  # prediction gain in the episode so far

    def period(self) -> int:
        """A hundredth of the episode."""
        return max(1, self.env.budget // ROWS)

    def budget(self) -> int:
        """Pulls."""
        return self.env.budget

    def count(
        self, means: Means, before: dict[str, Any], action: Any, reward: Any, after: dict[str, Any]
    ) -> None:
        """Count what was gained, what each arm's score is short of 1, and 1 for the arm pulled."""
        self._gained = after["prediction_gain"] + (self._gained if before["step"] else 0.0)
        means.add(1.0 - before["score"], np.eye(len(self.tasks))[action], reward)

    def row(self, means: Means, info: dict[str, Any]) -> dict[str, Any]:
        """Means of the period, and what the mean score is short of 1."""
        return {**means.row(), "score": 1.0 - info["mean_score"], "failure": ""}

    def result(self, info: dict[str, Any], split: str) -> dict[str, Any]:
        """The final mean score and the prediction gains, added up, whatever the split."""
        return {
            "data": "synthetic",
            "data_sha256": "",
            split: {"score": info["mean_score"]},
            "units": {"score": ""},
            "higher_is_better": {"score": True},
            "gained": self._gained,
            "best_validation_score": None,
            "delta_m": None,
            "baseline": None,
            "failure": "",
        }

    def state_dict(self) -> dict[str, Any]:
        """What was gained."""
        return {"gained": self._gained}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self._gained = state["gained"]


SAMPLES = 100  # a task, of which the agents' policies are kept: Figures 9 and 10 show as many


class RoutingSubject:
    """A network in training by routes: a row an epoch, accuracies and routes as figures.

    Samples are routed greedily when the network is measured. Of an agent that has tables in its
    attribute `policy`, (agents, depths, actions), those of the first depth are kept while training
    is young.
    """

    def __init__(self, env: RoutingVectorEnv, agent: Any) -> None:
        """Take the environment and the agent that routes its samples."""
        self.env, self._agent = env, agent
        self.tasks = env.problem.tasks
        self.selects = False
        self.source = {"kind": env.problem.source.kind, "sha256": env.problem.source.sha256}
        self._policies: list[Any] = []  # an update's after another's, (agents, actions)

    def period(self) -> int:
        """Steps in an epoch."""
        return self.env.router.trainer.batches * self.env.router.shape.depth

    def budget(self) -> int:
        """Steps of the environment: decisions for a whole minibatch."""
        return self.env.budget

    def count(
        self, means: Means, before: dict[str, Any], action: Any, reward: Any, after: dict[str, Any]
    ) -> None:
        """Count, at routes' ends, each task's sum of losses and samples, both over the batch."""
        if "final_info" not in after:
            return
        task, losses = after["final_info"]["task"], after["final_info"]["loss"]
        rows, tasks = len(task), len(self.tasks)
        sums = np.bincount(task, losses, minlength=tasks)
        means.add(sums / rows, np.bincount(task, minlength=tasks) / rows, float(reward.mean()))
        policy = getattr(self._agent, "policy", None)
        if policy is not None and len(self._policies) * rows < SAMPLES * tasks:
            self._policies.append(policy[:, 0].round(4).tolist())

    def row(self, means: Means, info: dict[str, Any]) -> dict[str, Any]:
        """Mean losses and last rewards of the epoch, and what validation accuracy lacks of 1."""
        losses = means.losses / np.maximum(means.weights, 1e-12)
        values = self.env.evaluate("val", self._greedy)
        return {
            **means.row(),
            "losses": losses.tolist(),
            "lr": info["lr"],
            "score": 1.0 - float(np.mean(list(values.values()))),
            "validation": values,
            "failure": info["failure"],
        }

    def result(self, info: dict[str, Any], split: str) -> dict[str, Any]:
        """Accuracies in percent, their mean over the tasks first, and each task's routes."""
        problem, made = self.env.problem, self.env.router.configuration
        actions = self.env.router.shape.actions
        found = self.env.evaluate_routes(split, self._greedy)
        shares = evaluation.accuracies(problem, found)
        values = {key: 100 * share for key, share in shares.items()}
        figures = {"score": float(np.mean(list(values.values()))), **values}
        return {
            "data": problem.source.kind,
            "data_sha256": problem.source.sha256,
            split: {key: finite(value) for key, value in figures.items()},
            "units": dict.fromkeys(figures, "%"),
            "higher_is_better": dict.fromkeys(figures, True),
            "best_validation_score": None,
            "delta_m": None,
            "baseline": None,
            "failure": info["failure"],
            "architecture": made.options.architecture,
            "rho": made.options.rho,
            "epochs": made.trainer_options.epochs,
            "batch_size": made.trainer_options.batch_size,
            "routes": found.shares(len(self.tasks), actions).tolist(),
            **({"policies": self._policies} if self._policies else {}),
        }

    def state_dict(self) -> dict[str, Any]:
        """The policies so far."""
        return {"policies": list(self._policies)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self._policies = list(state["policies"])

    @property
    def _greedy(self) -> Any:
        """How the agent routes when measured; None is for what each task took most of late."""
        return getattr(self._agent, "greedy", None)


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
        self.selects = env.options.interface == "tasks"
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
        if self.env.options.interface == "tasks":
            figures["task_sizes"] = task_sizes(problem, self.env.options)["task_sizes"].tolist()
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
