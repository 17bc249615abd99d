"""Training of a routed network on minibatches of one size."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from mtlgym.distributed.collectives import average, average_gradients
from mtlgym.distributed.process_group import TrainingGroup
from mtlgym.envs.routing.trainer_options import TrainerOptions
from mtlgym.problems.images import ImageBatch, ImageProblem
from mtlgym.randomness import MODEL, ORDER, private_randomness
from mtlgym.training.buffers import copy_buffers, restore_buffers, running_statistics
from mtlgym.training.failure import (
    failing_tasks,
    gradient_failure,
    gradients_are_finite,
    loss_failure,
)
from mtlgym.training.hardware import Hardware
from mtlgym.training.schedule import OPTIMIZERS, SCHEDULERS


class RoutingTrainer:
    """A network, its optimizer and its minibatches, in a fresh permutation every epoch.

    `begin` draws a minibatch and passes it through the trunk; the caller routes the features and
    classifies them, and `train` makes the gradient step.

    With a process group each process has the same network and an equal part of a minibatch's
    rows, in the order of the ranks: `samples`, `features` and `losses` are those of its part.

    Attributes:
        model: the network in training.
        samples: the current minibatch.
        features: the trunk's output for it, with its graph.
        updates: minibatches trained on so far, including those that failed.
        batches: minibatches in an epoch.
    """

    samples: ImageBatch
    features: Float[Tensor, "rows features"]

    def __init__(
        self,
        problem: ImageProblem,
        build: Callable[[], nn.Module],
        options: TrainerOptions,
        hardware: Hardware,
        seed: int,
        group: TrainingGroup | None = None,
    ) -> None:
        """Build the network; all random numbers come from `seed`, in [0, 2^63).

        Raises:
            ValueError: for a `batch_size` that the problem's tasks do not allow.
        """
        self._problem, self._options, self._hardware = problem, options, hardware
        self._seed, self._group = seed, group
        self._rank, self._size = (group.rank, group.size) if group else (0, 1)
        self.batches = options.batches(problem.sizes("train"))
        with private_randomness(torch.device(hardware.device), seed, MODEL):
            self.model = hardware.place(build())
        fused = hardware.fused or None
        make = OPTIMIZERS[options.optimizer]
        self._optimizer = make(self.model.parameters(), options.lr, options.weight_decay, fused)
        self._schedule = SCHEDULERS[options.scheduler]
        self._scheduler = self._schedule.make(self._optimizer, self.batches * options.epochs)
        self._order: tuple[int, NDArray[Any]] = (-1, np.empty(0, np.int64))
        self._before: dict[str, Tensor] = {}  # the buffers before the current minibatch
        self.updates = self._drawn = 0

    @property
    def lr(self) -> float:
        """Learning rate of the next optimizer step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def begin(self) -> None:
        """Draw the next minibatch and compute its features."""
        epoch, position = divmod(self._drawn, self.batches)
        if self._order[0] != epoch:
            self._order = epoch, self._permutation(epoch)
        rows = self._options.batch_size // self._size
        start = position * self._options.batch_size + self._rank * rows
        self._drawn += 1
        self._before = copy_buffers(self.model)
        self.samples = self._problem.samples("train", self._order[1][start : start + rows])
        self.features = self.compute_features(self.samples)
        average(running_statistics(self.model), self._group)

    def compute_features(self, samples: ImageBatch) -> Float[Tensor, "rows features"]:
        """The trunk's output for these samples' images."""
        images = samples.images.to(self._hardware.device)
        if self._hardware.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with self._hardware.forward():
            features: Tensor = self.model.trunk(images)  # type: ignore[operator]
        return features.to(torch.promote_types(features.dtype, torch.float32))

    def losses(self, scores: Float[Tensor, "rows classes"], rows: slice) -> Float[Tensor, " rows"]:
        """The losses of these rows of the current minibatch, with their graph."""
        samples = self.samples
        task, label = samples.task[rows].to(scores.device), samples.label[rows].to(scores.device)
        return self._problem.losses(scores, task, label)

    def train(self, losses: Float[Tensor, " rows"]) -> str:
        """Make an optimizer step on the mean loss of all rows.

        Args:
            losses: of all rows of this process, with their graph.

        Returns:
            Why the step failed, empty if it did not. After a failure the parameters are unchanged,
            and the buffers are as before the minibatch.
        """
        names = self._problem.tasks
        task = self.samples.task.to(losses.device)
        sums = losses.new_zeros(len(names)).index_add(0, task, losses)
        totals = sums.detach().clone()
        average([totals], self._group)
        failure = loss_failure(totals.cpu(), names)
        if not failure:
            failure = self._backward(sums / len(losses))
        if failure:
            self._optimizer.zero_grad()  # then the step, which schedulers expect, changes nothing
            restore_buffers(self.model, self._before)
        self._optimizer.step()
        self.updates += 1
        if self._schedule.per_step or self.updates % self.batches == 0:
            self._scheduler.step()
        return failure

    def state_dict(self) -> dict[str, Any]:
        """The state of network and training, for a trainer with the same options and seed."""
        state = {
            "seed": self._seed,
            "updates": self.updates,
            "drawn": self._drawn,
            "model": dict(self.model.state_dict()),
            "before": self._before,
            "optimizer": self._optimizer.state_dict(),
            "scheduler": self._scheduler.state_dict(),
        }
        return copy.deepcopy(state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state returned by `state_dict`; its current minibatch is drawn again."""
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self._scheduler.load_state_dict(state["scheduler"])
        self.updates, self._drawn = int(state["updates"]), int(state["drawn"]) - 1
        names = [name for name, _ in self.model.named_buffers()]
        restore_buffers(self.model, {name: state["before"][name] for name in names})
        self.begin()
        restore_buffers(self.model, {name: state["model"][name] for name in names})

    def _permutation(self, epoch: int) -> NDArray[Any]:
        rng = np.random.default_rng([self._seed, ORDER, epoch])
        if not self._options.balanced:
            return rng.permutation(self._problem.size("train"))
        task, sizes = self._problem.data.splits["train"].task, self._problem.sizes("train")
        own = [rng.permutation(np.flatnonzero(task == t))[: sizes.min()] for t in range(len(sizes))]
        return np.stack(own, axis=1).reshape(-1)

    def _backward(self, terms: Float[Tensor, " tasks"]) -> str:
        self._optimizer.zero_grad()
        terms.sum().backward(retain_graph=True)  # `failing_tasks` may need it again
        average_gradients(self.model.parameters(), self._group)
        if gradients_are_finite(self.model):
            return ""
        names = failing_tasks(self.model, terms, self._problem.tasks, self._group)
        return gradient_failure(names)
