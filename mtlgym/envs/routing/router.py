"""The network that a routing environment trains, and the rewards that it pays."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mtlgym.checks import as_array
from mtlgym.distributed.process_group import TrainingGroup
from mtlgym.envs.routing.collaboration import Collaboration
from mtlgym.envs.routing.options import RoutingConfiguration
from mtlgym.envs.routing.trainer import RoutingTrainer
from mtlgym.models.heads import Head, check_actions

LARGEST = float(np.finfo(np.float32).max)  # stands for numbers that are not finite
MOST_LOSS = 1e3  # nats; larger losses, and those that are not finite, are rewarded as this one


@dataclass(eq=False)
class Routes:
    """The routes of some rows of the minibatch, all at the same depth.

    Attributes:
        rows: which rows of the minibatch.
        task: task of each row, (rows,).
        state: the network's state, one row of it a row.
        taken: the actions, (rows, depths); -1 for those not taken yet.
        depth: number of actions taken.
    """

    rows: slice
    task: NDArray[np.int64]
    state: Tensor
    taken: NDArray[np.int64]
    depth: int = 0


@dataclass(frozen=True, eq=False)
class RouteResult:
    """How the samples of finished routes were classified.

    Attributes:
        task: (rows,).
        losses: in nats, with their graph, (rows,).
        correct: whether the class was right, (rows,).
        reward: the final reward, (rows,).
    """

    task: NDArray[np.int64]
    losses: Float[Tensor, " rows"]
    correct: NDArray[np.bool_]
    reward: NDArray[np.float64]

    def to_info(self) -> dict[str, NDArray[Any]]:
        """Fresh arrays for an info; losses that are not finite are the largest float32 number."""
        losses = np.nan_to_num(array(self.losses), nan=LARGEST, posinf=LARGEST)
        return {
            "task": self.task.copy(),
            "loss": losses.astype(np.float64),
            "correct": self.correct.copy(),
        }


def integers(name: str, value: Any, rows: int) -> NDArray[np.integer]:
    """Return the value as an array, which must hold one integer for each row.

    Raises:
        ValueError: if not; names the argument and the value.
    """
    given = as_array(value)
    if given.shape != (rows,) or given.dtype.kind not in "iu":
        raise ValueError(f"`{name}` must be {rows} integers, not {value!r}")
    return given


def array(values: Tensor) -> NDArray[Any]:
    """Return the values as an array, without their graph."""
    return values.detach().cpu().numpy()


class Router:
    """A network in training, its current minibatch, and the latest decisions of each task.

    With a process group each process has the same network and routes a part of the rows.

    Attributes:
        configuration: of the environment.
        trainer: trains the network; set by `restart`.
        history: the tasks' latest decisions; set by `restart`.
        budget: minibatches in the schedule's epochs.
        steps: steps of the environment since `restart`.
        failure: why the last minibatch could not be trained on; empty if it could.
        shape: the network's head without values, which defines the actions.
    """

    trainer: RoutingTrainer
    history: Collaboration

    def __init__(
        self, configuration: RoutingConfiguration, group: TrainingGroup | None = None
    ) -> None:
        """Set up; `restart` builds the network, in each process of the group."""
        self.configuration = configuration
        self._group = group
        with torch.device("meta"):  # uses neither memory nor random numbers
            self.shape = cast(Head, configuration.build().head)
        options, sizes = configuration.trainer_options, configuration.problem.sizes("train")
        self.budget = options.epochs * options.batches(sizes)
        self.steps = 0
        self.failure = ""

    @property
    def observation_space(self) -> spaces.Space[Any]:
        """The space of one sample's observations."""
        value = spaces.Box(-LARGEST, LARGEST, (self.shape.width,), np.float32)
        tasks = len(self.configuration.problem.tasks)
        return spaces.Dict(
            value=value, task=spaces.Discrete(tasks), depth=spaces.Discrete(self.shape.depth)
        )

    @property
    def is_open(self) -> bool:
        """Whether the last minibatch did not fail, and the schedule has more of them."""
        return not self.failure and self.trainer.updates < self.budget

    @property
    def head(self) -> Head:
        """The part of the network that samples are routed through."""
        return cast(Head, self.trainer.model.head)

    def restart(self, seed: int) -> None:
        """Start with a fresh network and an empty history, and draw the first minibatch."""
        self._build(seed)
        self.steps, self.failure = 0, ""
        self.trainer.begin()

    def start_routes(self, rows: slice) -> Routes:
        """New routes of these rows of the minibatch."""
        state = self.head.start(self.trainer.features[rows])
        task = self.trainer.samples.task[rows].numpy()
        taken = np.full((len(task), self.shape.depth), -1, np.int64)
        return Routes(rows, task, state, taken)

    def parse_actions(self, actions: Any, depth: int, rows: int) -> NDArray[np.integer]:
        """Return the actions as an array, (rows,), if they are allowed at the depth.

        Raises:
            ValueError: if not; names the first that is wrong and those that are allowed.
        """
        given = integers("actions", actions, rows)
        check_actions(self.shape, depth, given)
        return given

    def advance(self, routes: Routes, actions: NDArray[np.integer]) -> NDArray[np.float64]:
        """Apply the actions, which are allowed; return the collaboration rewards, (rows,)."""
        depth = routes.depth
        self.apply(routes, actions)
        taken = routes.taken[:, depth]
        return self.configuration.options.rho * self.history.shares(depth, routes.task, taken)

    def apply(self, routes: Routes, actions: NDArray[np.integer]) -> None:
        """Send each row through the block that its action names, (rows,)."""
        routes.taken[:, routes.depth] = actions
        device = routes.state.device
        task = torch.from_numpy(routes.task).to(device)
        chosen = torch.tensor(routes.taken[:, routes.depth], device=device)
        routes.state = self.head.layer(routes.depth, routes.state, task, chosen)
        routes.depth += 1

    def classify(self, routes: Routes) -> RouteResult:
        """Classify the samples of routes that have gone through all depths."""
        problem, options = self.configuration.problem, self.configuration.options
        samples = self.trainer.samples
        task, label = samples.task[routes.rows], samples.label[routes.rows]
        scores = self.head.value(routes.state, task.to(routes.state.device))
        losses = self.trainer.losses(scores, routes.rows)
        correct = problem.correct(scores.detach().cpu(), task, label)
        reward = np.where(correct, 1.0, -1.0)
        if options.reward == "negative_loss":
            bounded = np.nan_to_num(array(losses), nan=MOST_LOSS, posinf=MOST_LOSS)
            reward = -bounded.clip(0, MOST_LOSS)
        return RouteResult(routes.task, losses, correct, reward.astype(np.float64))

    def train(self, losses: Float[Tensor, " rows"], taken: NDArray[np.int64]) -> None:
        """Train on the losses of the whole minibatch, and add its decisions to the history.

        With a process group the arguments are those of this process's rows.
        """
        task = self.trainer.samples.task.numpy()
        self.failure = self.trainer.train(losses)
        if self._group is not None:
            parts = self._group.all_gather((task, taken))
            task, taken = (np.concatenate(each) for each in zip(*parts, strict=True))
        self.history.record(task, taken)

    def observe(self, routes: Routes) -> dict[str, NDArray[Any]]:
        """The observation of each row; after the last depth its values are the class scores.

        NaN is replaced by 0, and infinity by the largest float32 number.
        """
        task = torch.from_numpy(routes.task).to(routes.state.device)
        with torch.no_grad():
            values = array(self.head.value(routes.state, task))
        value = np.zeros((len(values), self.shape.width), np.float32)
        value[:, : values.shape[1]] = np.nan_to_num(values, posinf=LARGEST, neginf=-LARGEST)
        depth = np.full(len(values), min(routes.depth, self.shape.depth - 1), np.int64)
        return {"value": value, "task": routes.task.copy(), "depth": depth}

    def action_mask(self, depth: int, rows: int) -> NDArray[np.int8] | None:
        """Which actions are allowed at the depth, (rows, actions); None where all are."""
        if self.shape.allowed.all():
            return None
        allowed = self.shape.allowed[min(depth, self.shape.depth - 1)]
        return np.tile(allowed.astype(np.int8), (rows, 1))

    def info(self) -> dict[str, Any]:
        """The part of an info that describes the training."""
        trainer = self.trainer
        return {
            "step": self.steps,
            "updates": trainer.updates,
            "epoch": trainer.updates // trainer.batches,
            "lr": trainer.lr,
            "data": self.configuration.problem.source.kind,
            "failure": self.failure,
        }

    def state_dict(self) -> dict[str, Any]:
        """The state of network, training and history."""
        return {
            "training": self.trainer.state_dict(),
            "history": self.history.state_dict(),
            "steps": self.steps,
            "failure": self.failure,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`; the current minibatch is drawn again."""
        self._build(state["training"]["seed"])
        self.trainer.load_state_dict(state["training"])
        self.history.load_state_dict(state["history"])
        self.steps, self.failure = int(state["steps"]), str(state["failure"])

    def _build(self, seed: int) -> None:
        configuration = self.configuration
        self.trainer = RoutingTrainer(
            configuration.problem,
            configuration.build,
            configuration.trainer_options,
            configuration.hardware,
            seed,
            self._group,
        )
        shape = (len(configuration.problem.tasks), self.shape.depth, self.shape.actions)
        shared = configuration.options.history == "shared"
        self.history = Collaboration(shape, shared, configuration.options.history_length)
