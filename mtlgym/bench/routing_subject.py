"""What a run needs of a routing environment: rows at epochs, figures on the test split."""

from typing import Any

import numpy as np

from mtlgym.bench.means import Means, finite
from mtlgym.envs import examination
from mtlgym.envs.routing import RoutingVectorEnv

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
        return self.env.router.training.batches * self.env.router.shape.depth

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
        found = self.env.examine(split, self._greedy)
        shares = examination.accuracies(problem, found)
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
            "epochs": made.regime.epochs,
            "batch_size": made.regime.batch_size,
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
