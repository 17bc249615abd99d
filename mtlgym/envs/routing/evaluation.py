"""Evaluation of a routed network on a whole split, by a policy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mtlgym.envs.routing.router import Router, Routes
from mtlgym.problems.images import ImageProblem

ROWS = 512  # samples at a time

Policy = Callable[[dict[str, NDArray[Any]], dict[str, Any]], Any]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The routes and results of all samples of a split, in the split's order.

    Attributes:
        task: of each sample, (samples,).
        routes: the actions, (samples, depths).
        correct: whether the class was right, (samples,).
        losses: in nats, (samples,).
    """

    task: NDArray[np.int64]
    routes: NDArray[np.int64]
    correct: NDArray[np.bool_]
    losses: NDArray[np.float64]

    def shares(self, tasks: int, actions: int) -> NDArray[np.float64]:
        """The share of each action in a task's decisions at a depth, (tasks, depths, actions).

        This is the routing map of Figure 11.
        """
        chosen = np.eye(actions)[self.routes]
        return np.stack([chosen[self.task == task].mean(axis=0) for task in range(tasks)])


def accuracies(problem: ImageProblem, evaluation: Evaluation) -> dict[str, float]:
    """`{"task/accuracy": share of the samples whose class is right}`."""
    return {
        f"{name}/accuracy": float(evaluation.correct[evaluation.task == task].mean())
        for task, name in enumerate(problem.tasks)
    }


def evaluate_routes(router: Router, split: str, policy: Policy | None) -> Evaluation:
    """Route a whole split by the policy, with the network in evaluation mode; changes nothing.

    Args:
        router: has the network.
        split: `train`, `val` or `test`.
        policy: gives the actions, (samples,), for an observation of many samples and an info, which
            has an `action_mask` where not all actions are allowed; without a policy, each task
            takes its most frequent action in the history.

    Raises:
        ValueError: for another split, a policy that is not callable, or actions that are not
            allowed.
    """
    if not (policy is None or callable(policy)):
        raise ValueError(f"`policy` must be a function of observation and info, not {policy!r}")
    problem, model = router.configuration.problem, router.trainer.model
    size, parts = problem.size(split), []
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for start in range(0, size, ROWS):
                chosen = np.arange(start, min(start + ROWS, size))
                parts.append(_part(router, split, chosen, policy))
    finally:
        model.train(was_training)
    return Evaluation(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _part(
    router: Router, split: str, chosen: NDArray[np.int64], policy: Policy | None
) -> tuple[NDArray[Any], ...]:
    problem, head = router.configuration.problem, router.head
    samples = problem.samples(split, chosen)
    state = head.start(router.trainer.compute_features(samples))
    task = samples.task.numpy()
    routes = Routes(slice(0, len(task)), task, state, np.full((len(task), head.depth), -1))
    frequent = router.history.counts.argmax(axis=2)
    for depth in range(head.depth):
        if policy is None:
            action = frequent[task, depth]
        else:
            mask = router.action_mask(depth, len(task))
            action = policy(router.observe(routes), {} if mask is None else {"action_mask": mask})
        router.apply(routes, router.parse_actions(action, depth, len(task)))
    scores = head.value(routes.state, samples.task.to(state.device)).cpu()
    losses = problem.losses(scores, samples.task, samples.label).double().numpy()
    correct = problem.correct(scores, samples.task, samples.label)
    return task, routes.taken, correct, losses
