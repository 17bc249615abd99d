"""The network that routing environments train: its minibatch, its rewards, what tasks chose."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mtlgym.checks import as_array
from mtlgym.distributed.process_group import Company
from mtlgym.envs.routing.collaboration import Collaboration
from mtlgym.envs.routing.options import RoutingConfiguration
from mtlgym.envs.routing.trainer import MinibatchTraining
from mtlgym.models.heads import Head, check_actions

LARGEST = float(np.finfo(np.float32).max)  # in place of what is not finite


@dataclass(eq=False)
class Routes:
    """Where some rows of the minibatch stand, all at one depth.

    Attributes:
        rows: of the minibatch.
        task: of each row, (rows,).
        state: the network's, a row's after another's.
        taken: the actions, (rows, depths); -1 for those to come.
        depth: decisions made.
    """

    rows: slice
    task: NDArray[np.int64]
    state: Tensor
    taken: NDArray[np.int64]
    depth: int = 0


@dataclass(frozen=True, eq=False)
class Verdict:
    """What came of finished routes.

    Attributes:
        task: (rows,).
        losses: with their graph, (rows,).
        correct: whether the class was right, (rows,).
        pay: the final reward, (rows,).
    """

    task: NDArray[np.int64]
    losses: Float[Tensor, " rows"]
    correct: NDArray[np.bool_]
    pay: NDArray[np.float64]

    def detached(self) -> "Verdict":
        """The same without a graph, on the CPU."""
        return replace(self, losses=self.losses.detach().cpu())

    @classmethod
    def joined(cls, parts: Sequence["Verdict"]) -> "Verdict":
        """What came of these rows, one part after another."""
        return cls(
            task=np.concatenate([part.task for part in parts]),
            losses=torch.cat([part.losses for part in parts]),
            correct=np.concatenate([part.correct for part in parts]),
            pay=np.concatenate([part.pay for part in parts]),
        )

    def values(self) -> dict[str, NDArray[Any]]:
        """What infos say of it; the losses in nats, those not finite as the largest number."""
        losses = np.nan_to_num(array(self.losses), nan=LARGEST, posinf=LARGEST)
        return {
            "task": self.task.copy(),
            "loss": losses.astype(np.float64),
            "correct": self.correct.copy(),
        }


def integers(name: str, value: Any, rows: int) -> NDArray[np.integer]:
    """The value as an array, if it is one integer a row.

    Raises:
        ValueError: if not; names the argument and the value.
    """
    given = as_array(value)
    if given.shape != (rows,) or given.dtype.kind not in "iu":
        raise ValueError(f"`{name}` must be {rows} integers, not {value!r}")
    return given


def array(values: Tensor) -> NDArray[Any]:
    """The values, without their graph."""
    return values.detach().cpu().numpy()


MOST_LOSS = 1e3  # nats; what a loss that is larger or not finite is paid as


class Router:
    """A network in training, the minibatch under way, and what the tasks chose of late.

    Attributes:
        configuration: all that makes the environment.
        training: the network in training; there once `restart` was called.
        history: the tasks' last decisions.
        budget: minibatches in the schedule's epochs.
        steps: of the environment, since the network was fresh.
        failure: what broke the last minibatch's training, empty if nothing did.
        shape: a network without values: what its actions are.
    """

    training: MinibatchTraining
    history: Collaboration

    def __init__(self, configuration: RoutingConfiguration, company: Company | None = None) -> None:
        """Set up; `restart` builds the network, in each process of the company."""
        self.configuration = configuration
        self._company = company
        with torch.device("meta"):  # neither memory nor chance is used
            self.shape = cast(Head, configuration.build().head)
        regime, sizes = configuration.regime, configuration.problem.sizes("train")
        self.budget = regime.epochs * regime.batches(sizes)
        self.steps = 0
        self.failure = ""

    @property
    def observation_space(self) -> spaces.Space[Any]:
        """Of one sample."""
        value = spaces.Box(-LARGEST, LARGEST, (self.shape.width,), np.float32)
        tasks = len(self.configuration.problem.tasks)
        return spaces.Dict(
            value=value, task=spaces.Discrete(tasks), depth=spaces.Discrete(self.shape.depth)
        )

    @property
    def is_open(self) -> bool:
        """Whether the last minibatch did not fail, and the schedule has more of them."""
        return not self.failure and self.training.updates < self.budget

    @property
    def head(self) -> Head:
        """The part of the network that samples are routed through."""
        return cast(Head, self.training.model.head)

    def restart(self, seed: int) -> None:
        """Start with a fresh network and history."""
        self._make(seed)
        self.steps, self.failure = 0, ""
        self.training.begin()

    def routes(self, rows: slice) -> Routes:
        """New routes of these rows of the minibatch."""
        state = self.head.start(self.training.features[rows])
        task = self.training.samples.task[rows].numpy()
        taken = np.full((len(task), self.shape.depth), -1, np.int64)
        return Routes(rows, task, state, taken)

    def advance(self, routes: Routes, actions: Any) -> NDArray[np.float64]:
        """Apply the blocks chosen; give the collaboration rewards, (rows,).

        Raises:
            ValueError: for actions that the depth does not allow; nothing has changed then.
        """
        depth = routes.depth
        self.apply(routes, actions)
        taken = routes.taken[:, depth]
        return self.configuration.options.rho * self.history.shares(depth, routes.task, taken)

    def apply(self, routes: Routes, actions: Any) -> None:
        """Apply the blocks chosen, (rows,).

        Raises:
            ValueError: for actions that the depth does not allow; nothing has changed then.
        """
        given = self.checked(actions, routes.depth, len(routes.task))
        routes.taken[:, routes.depth] = given
        device = routes.state.device
        task = torch.from_numpy(routes.task).to(device)
        chosen = torch.tensor(routes.taken[:, routes.depth], device=device)
        routes.state = self.head.layer(routes.depth, routes.state, task, chosen)
        routes.depth += 1

    def checked(self, actions: Any, depth: int, rows: int) -> NDArray[np.integer]:
        """The actions as an array, (rows,), if the depth allows them.

        Raises:
            ValueError: if not; names the first that is wrong and those that are allowed.
        """
        given = integers("actions", actions, rows)
        check_actions(self.shape, depth, given)
        return given

    def judge(self, routes: Routes) -> Verdict:
        """What comes of routes that went through all depths."""
        problem, options = self.configuration.problem, self.configuration.options
        samples = self.training.samples
        task, label = samples.task[routes.rows], samples.label[routes.rows]
        scores = self.head.value(routes.state, task.to(routes.state.device))
        losses = self.training.losses(scores, routes.rows)
        correct = problem.correct(scores.detach().cpu(), task, label)
        pay = np.where(correct, 1.0, -1.0)
        if options.reward == "negative_loss":
            pay = -np.nan_to_num(array(losses), nan=MOST_LOSS, posinf=MOST_LOSS).clip(0, MOST_LOSS)
        return Verdict(routes.task, losses, correct, pay.astype(np.float64))

    def train(self, losses: Float[Tensor, " rows"], taken: NDArray[np.int64]) -> None:
        """Train on the whole minibatch's losses, and take its decisions into the history.

        In a company the arguments are those of this process's rows.
        """
        task = self.training.samples.task.numpy()
        self.failure = self.training.learn(losses)
        if self._company is not None:
            parts = self._company.gathered((task, taken))
            task, taken = (np.concatenate(each) for each in zip(*parts, strict=True))
        self.history.record(task, taken)

    def observe(self, routes: Routes) -> dict[str, NDArray[Any]]:
        """What the router sees of each row; at the end the scores, at the last depth.

        What is not a number is seen as 0, what is infinite as the largest number.
        """
        task = torch.from_numpy(routes.task).to(routes.state.device)
        with torch.no_grad():
            values = array(self.head.value(routes.state, task))
        value = np.zeros((len(values), self.shape.width), np.float32)
        value[:, : values.shape[1]] = np.nan_to_num(values, posinf=LARGEST, neginf=-LARGEST)
        depth = np.full(len(values), min(routes.depth, self.shape.depth - 1), np.int64)
        return {"value": value, "task": routes.task.copy(), "depth": depth}

    def mask(self, routes: Routes) -> NDArray[np.int8] | None:
        """Which actions each row's next may be, (rows, actions); None where every one may."""
        if self.shape.allowed.all():
            return None
        allowed = self.shape.allowed[min(routes.depth, self.shape.depth - 1)]
        return np.tile(allowed.astype(np.int8), (len(routes.task), 1))

    def info(self) -> dict[str, Any]:
        """What infos say of the training."""
        training = self.training
        return {
            "step": self.steps,
            "updates": training.updates,
            "epoch": training.updates // training.batches,
            "lr": training.lr,
            "data": self.configuration.problem.source.kind,
            "failure": self.failure,
        }

    def state_dict(self) -> dict[str, Any]:
        """All that both forms keep."""
        return {
            "training": self.training.state_dict(),
            "history": self.history.state_dict(),
            "steps": self.steps,
            "failure": self.failure,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from that state, with the minibatch under way as it was drawn."""
        self._make(state["training"]["seed"])
        self.training.load_state_dict(state["training"])
        self.history.load_state_dict(state["history"])
        self.steps, self.failure = int(state["steps"]), str(state["failure"])

    def _make(self, seed: int) -> None:
        made = self.configuration
        self.training = MinibatchTraining(
            made.problem, made.build, made.regime, made.hardware, seed, self._company
        )
        shape = (len(made.problem.tasks), self.shape.depth, self.shape.actions)
        shared = made.options.history == "shared"
        self.history = Collaboration(shape, shared, made.options.history_length)
