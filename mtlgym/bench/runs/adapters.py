"""Adapters: how a run makes, steps, logs and measures each kind of environment."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from mtlgym import checks
from mtlgym.bench.runs.cell import Cell
from mtlgym.bench.runs.logs import Means, finite
from mtlgym.envs.bandit import BanditEnv, BanditVectorEnv
from mtlgym.envs.routing import RoutingVectorEnv, evaluation
from mtlgym.envs.routing.trainer_options import TrainerOptions
from mtlgym.envs.training.env import TrainingEnv, task_sizes
from mtlgym.metrics import delta_m, judged, mean_score
from mtlgym.presets.environments import preset

SAMPLES = 100  # of each task, whose policies are recorded, as in Figures 9 and 10
BANDIT_ROWS = 100  # in the log of a bandit's episode
VECTOR_ROWS = 200  # in the log of a vector of bandits, as the points of a figure's curves
FIRST_ORACLE = 1000  # seed of a vector's first oracle; no agent's settings were chosen on these


@runtime_checkable
class RunAdapter(Protocol):
    """An environment that a run steps, logs and measures.

    Attributes:
        tasks: the tasks' or arms' names.
        selects: whether a decision is the choice of a task, so that policies can learn from a log
            of the decisions.
        source: `kind` and `sha256` of the data.
        seed: of the first `reset`.
        trainer: the options of the training whose learning rate and weight decay a search varies;
            None where nothing is trained.
    """

    tasks: tuple[str, ...]
    selects: bool
    source: dict[str, str]
    seed: Any
    trainer: Any

    def period(self) -> int:
        """Steps from one row of the log to the next; defined while an episode is open."""

    def budget(self) -> int:
        """Steps in an episode; defined while one is open."""

    def count(
        self, means: Means, before: dict[str, Any], action: Any, reward: Any, after: dict[str, Any]
    ) -> None:
        """Add a training step to the means: its losses, task weights and reward."""

    def row(self, means: Means, info: dict[str, Any]) -> dict[str, Any]:
        """The log's row of a period, from its means and its last info."""

    def result(self, info: dict[str, Any], split: str) -> dict[str, Any]:
        """The figures of the finished episode; with `split="test"` this alone reads the test set.

        Args:
            info: the last of the episode.
            split: `test` or `val`, and the key of the metrics in the result.
        """

    def state_dict(self) -> dict[str, Any]:
        """A copy of what was collected in the episode so far."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`."""


class TrainingAdapter:
    """A training: a row a validation, figures of the test split."""

    def __init__(self, cell: Cell, env: TrainingEnv, agent: Any) -> None:
        """Adapt the environment; the agent is not used."""
        self._env, self.seed = env, cell.seed
        self.tasks = env.problem.tasks
        self.selects = env.options.interface == "tasks"
        self.trainer = env.configuration.training
        self.source = {"kind": env.problem.source.kind, "sha256": env.problem.source.sha256}

    def period(self) -> int:
        """Steps from one validation to the next, or in an epoch."""
        steps = self._env.configuration.training.validate_steps
        return steps or self._env.episode.steps_per_epoch

    def budget(self) -> int:
        """Optimizer steps."""
        return self._env.episode.budget

    def count(
        self, means: Means, before: dict[str, Any], action: Any, reward: Any, after: dict[str, Any]
    ) -> None:
        """Add the losses, in their tasks' units, and the task weights of the decision."""
        means.add(before["losses"], after["weights"], reward)

    def row(self, means: Means, info: dict[str, Any]) -> dict[str, Any]:
        """The means of the period, and the last validation."""
        validation = self._env.episode.learner.validation
        return {
            **means.row(),
            "lr": info["lr"],
            "score": finite(validation.score),
            "validation": {key: finite(x) for key, x in validation.values.items()},
            "failure": info["failure"],
        }

    def result(self, info: dict[str, Any], split: str) -> dict[str, Any]:
        """The figures of the parameters with the best validation score, or of the last ones."""
        problem, learner = self._env.problem, self._env.episode.learner
        values = self._env.evaluate(split, best=True)
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
        if self.selects:
            sizes = task_sizes(problem, self._env.options)
            figures["task_sizes"] = sizes["task_sizes"].tolist()
        # A mean over metrics is defined where they share a unit and a direction.
        counted = judged(metrics)
        if all(m.higher_is_better and m.unit == counted[0].unit for m in counted):
            figures[split] = {"score": finite(mean_score(values, metrics)), **figures[split]}
            figures["units"]["score"] = counted[0].unit
            figures["higher_is_better"]["score"] = counted[0].higher_is_better
        return figures

    def state_dict(self) -> dict[str, Any]:
        """An empty state: the environment's own is complete."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing."""


class RoutingAdapter:
    """A network trained by routes: a row an epoch, accuracies and routes as figures.

    Samples are routed greedily when the network is evaluated. Of an agent with tables in its
    attribute `policy`, (agents, depths, actions), those of the first depth are recorded while the
    first samples are trained on.
    """

    def __init__(self, cell: Cell, env: RoutingVectorEnv, agent: Any) -> None:
        """Adapt the environment, whose samples the agent routes."""
        self._env, self._agent, self.seed = env, agent, cell.seed
        self.tasks = env.problem.tasks
        self.selects = False
        self.trainer = env.router.configuration.trainer_options
        self.source = {"kind": env.problem.source.kind, "sha256": env.problem.source.sha256}
        self._policies: list[Any] = []  # one an update, (agents, actions)

    def period(self) -> int:
        """Steps in an epoch."""
        return self._env.router.trainer.batches * self._env.router.shape.depth

    def budget(self) -> int:
        """Steps of the environment: decisions for a whole minibatch."""
        return self._env.budget

    def count(
        self, means: Means, before: dict[str, Any], action: Any, reward: Any, after: dict[str, Any]
    ) -> None:
        """At the end of routes, add each task's sum of losses and samples, both over the batch."""
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
        """Mean losses and last rewards of the epoch; 1 minus the validation accuracy as score."""
        losses = means.losses / np.maximum(means.weights, 1e-12)
        values = self._env.evaluate("val", self._greedy)
        return {
            **means.row(),
            "losses": losses.tolist(),
            "lr": info["lr"],
            "score": 1.0 - float(np.mean(list(values.values()))),
            "validation": values,
            "failure": info["failure"],
        }

    def result(self, info: dict[str, Any], split: str) -> dict[str, Any]:
        """Accuracies in percent, first their mean over the tasks, and each task's routes."""
        problem, made = self._env.problem, self._env.router.configuration
        actions = self._env.router.shape.actions
        found = self._env.evaluate_routes(split, self._greedy)
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
        """The policies recorded so far."""
        return {"policies": list(self._policies)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`."""
        self._policies = list(state["policies"])

    @property
    def _greedy(self) -> Any:
        """The agent's greedy routing; None routes each task as it was mostly routed lately."""
        return getattr(self._agent, "greedy", None)


class BanditAdapter:
    """A bandit: a hundred rows an episode, and the final scores as figures."""

    def __init__(self, cell: Cell, env: BanditEnv, agent: Any) -> None:
        """Adapt the environment; the agent is not used."""
        self._env, self.seed = env, cell.seed
        self.tasks = env.tasks
        self.selects, self.trainer = True, None
        self.source = {"kind": "synthetic", "sha256": ""}
        self._gained = 0.0  # prediction gain in the episode so far

    def period(self) -> int:
        """A hundredth of the episode."""
        return max(1, self._env.budget // BANDIT_ROWS)

    def budget(self) -> int:
        """Pulls."""
        return self._env.budget

    def count(
        self, means: Means, before: dict[str, Any], action: Any, reward: Any, after: dict[str, Any]
    ) -> None:
        """Add the gain, 1 minus each arm's score as its loss, and 1 as the pulled arm's weight."""
        self._gained = after["prediction_gain"] + (self._gained if before["step"] else 0.0)
        means.add(1.0 - before["score"], np.eye(len(self.tasks))[action], reward)

    def row(self, means: Means, info: dict[str, Any]) -> dict[str, Any]:
        """The means of the period, and 1 minus the mean score."""
        return {**means.row(), "score": 1.0 - info["mean_score"], "failure": ""}

    def result(self, info: dict[str, Any], split: str) -> dict[str, Any]:
        """The final mean score and the sum of prediction gains, whatever the split."""
        return {**_bandit_figures(info["mean_score"], split), "gained": self._gained}

    def state_dict(self) -> dict[str, Any]:
        """The sum of prediction gains."""
        return {"gained": self._gained}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`."""
        self._gained = state["gained"]


class BanditVectorAdapter:
    """A vector of bandits under one policy: every oracle with every seed, oracle after oracle.

    The log has 200 rows with each bandit's mean score and sum of prediction gains.
    """

    def __init__(self, cell: Cell, env: BanditVectorEnv, agent: Any) -> None:
        """Adapt the environment; the agent is not used."""
        self._env = env
        self._oracles, self._seeds = cell.bandits["oracles"], list(cell.bandits["seeds"])
        self.seed = self._seeds * self._oracles
        self.tasks = env.tasks
        self.trainer = None
        self.selects = False  # decisions of many bandits are no log of one policy's choices
        self.source = {"kind": "synthetic", "sha256": ""}
        self._gained = np.zeros(env.num_envs)  # prediction gain in the episode so far
        self._pulls = np.zeros((env.num_envs, len(env.tasks)))

    def period(self) -> int:
        """A two-hundredth of the episode."""
        return max(1, self._env.budget // VECTOR_ROWS)

    def budget(self) -> int:
        """Pulls of each bandit."""
        return self._env.budget

    def count(
        self, means: Means, before: dict[str, Any], action: Any, reward: Any, after: dict[str, Any]
    ) -> None:
        """Add as `BanditAdapter` does, means over the bandits, and each bandit's gain and pull."""
        if not before["step"].any():
            self._gained[:], self._pulls[:] = 0, 0
        self._gained += after["prediction_gain"]
        self._pulls[np.arange(self._env.num_envs), action] += 1
        pulled = np.eye(len(self.tasks))[action].mean(axis=0)
        means.add(1.0 - before["score"].mean(axis=0), pulled, float(np.mean(reward)))

    def row(self, means: Means, info: dict[str, Any]) -> dict[str, Any]:
        """The means of the period; the mean score and gains of each bandit."""
        return {
            **means.row(),
            "score": 1.0 - float(info["mean_score"].mean()),
            "mean_scores": info["mean_score"].tolist(),
            "gained": self._gained.tolist(),
            "failure": "",
        }

    def result(self, info: dict[str, Any], split: str) -> dict[str, Any]:
        """The mean of the final mean scores, and a list with the figures of each bandit."""
        scores, shares = info["mean_score"], self._pulls / self._env.budget
        numbers = [(k, seed) for k in range(self._oracles) for seed in self._seeds]
        each = zip(numbers, scores, self._gained, shares, strict=True)
        return {
            **_bandit_figures(float(scores.mean()), split),
            "gained": float(self._gained.mean()),
            "distributions": self._env.oracle[:: len(self._seeds)].tolist(),
            "bandits_results": [
                {
                    "oracle": oracle,
                    "seed": seed,
                    "score": float(score),
                    "gained": float(gained),
                    "pulls": pulls.tolist(),
                }
                for (oracle, seed), score, gained, pulls in each
            ],
        }

    def state_dict(self) -> dict[str, Any]:
        """Each bandit's sum of prediction gains and number of pulls of each arm."""
        return {"gained": self._gained.copy(), "pulls": self._pulls.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`."""
        self._gained, self._pulls = state["gained"].copy(), state["pulls"].copy()


def _bandit_figures(score: float, split: str) -> dict[str, Any]:
    """The part of a result that all runs on bandits share."""
    return {
        "data": "synthetic",
        "data_sha256": "",
        split: {"score": score},
        "units": {"score": ""},
        "higher_is_better": {"score": True},
        "best_validation_score": None,
        "delta_m": None,
        "baseline": None,
        "failure": "",
    }


def make_single(cell: Cell, options: Mapping[str, Any]) -> Any:
    """The environment of `gym.make`, unwrapped."""
    return gym.make(cell.env, **options).unwrapped


def make_routing(cell: Cell, options: Mapping[str, Any]) -> Any:
    """The vector form of routing with a row a sample of the minibatch: faster, the same steps."""
    size = {**preset(cell.env).options, **options}.get("batch_size", TrainerOptions.batch_size)
    checks.integer("batch_size", size, least=1)
    return gym.make_vec(cell.env, size, autoreset_mode=AutoresetMode.SAME_STEP, **options).unwrapped


def make_bandits(cell: Cell, options: Mapping[str, Any]) -> Any:
    """A vector of bandits: every oracle, the k-th drawn from seed 1000 + k, with every seed."""
    if "oracle" in options:
        raise ValueError(
            f"`oracle` is drawn for each of several bandits, and must be left out, not "
            f"{options['oracle']!r}"
        )
    single: Any = make_single(cell, options)
    oracles, seeds = [], cell.bandits["seeds"]
    for k in range(cell.bandits["oracles"]):
        single.reset(seed=FIRST_ORACLE + k)
        oracles.append(np.array(single.oracle))
    return gym.make_vec(
        cell.env,
        num_envs=len(oracles) * len(seeds),
        autoreset_mode=AutoresetMode.DISABLED,
        oracle=np.repeat(oracles, len(seeds), axis=0),
        **options,
    ).unwrapped


# A kind of cell -> how its environment is made, and how a run steps, logs and measures it.
ADAPTERS: dict[str, tuple[Callable[[Cell, Mapping[str, Any]], Any], Callable[..., RunAdapter]]] = {
    "training": (make_single, TrainingAdapter),
    "routing": (make_routing, RoutingAdapter),
    "bandit": (make_single, BanditAdapter),
    "bandits": (make_bandits, BanditVectorAdapter),
}
