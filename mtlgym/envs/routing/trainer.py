"""A network in training on minibatches of one size, whose losses are made by someone else."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from mtlgym.distributed.collectives import average, average_gradients
from mtlgym.distributed.process_group import Company
from mtlgym.envs.routing.trainer_options import Regime
from mtlgym.problems.images import ImageBatch, ImageProblem
from mtlgym.randomness import MODEL, ORDER, private_randomness
from mtlgym.training.buffers import copies, put_back, statistics
from mtlgym.training.failure import blame, failed_losses, soundness
from mtlgym.training.hardware import Hardware
from mtlgym.training.schedule import OPTIMIZERS, SCHEDULERS


class MinibatchTraining:
    """A network and its optimizer; the samples come in a fresh permutation an epoch.

    In a company each process has the same network, and as many of a minibatch's rows, one after
    another by rank: `samples`, `features` and `losses` are of those.

    Attributes:
        model: the network in training.
        samples: the minibatch under way.
        features: what the model's trunk makes of it, with a graph.
        updates: minibatches trained on so far.
        batches: minibatches in an epoch.
    """

    samples: ImageBatch
    features: Float[Tensor, "rows features"]

    def __init__(
        self,
        problem: ImageProblem,
        build: Callable[[], nn.Module],
        regime: Regime,
        hardware: Hardware,
        seed: int,
        company: Company | None = None,
    ) -> None:
        """Build the network; all chance comes from `seed`, in [0, 2^63).

        Raises:
            ValueError: for a `batch_size` that the problem's tasks do not allow.
        """
        self._problem, self._regime, self._hardware = problem, regime, hardware
        self._seed, self._company = seed, company
        self._rank, self._size = (company.rank, company.size) if company else (0, 1)
        self.batches = regime.batches(problem.sizes("train"))
        with private_randomness(torch.device(hardware.device), seed, MODEL):
            self.model = hardware.place(build())
        fused = hardware.fused or None
        make = OPTIMIZERS[regime.optimizer]
        self._optimizer = make(self.model.parameters(), regime.lr, regime.weight_decay, fused)
        self._timing = SCHEDULERS[regime.scheduler]
        self._scheduler = self._timing.make(self._optimizer, self.batches * regime.epochs)
        self._order: tuple[int, NDArray[Any]] = (-1, np.empty(0, np.int64))
        self._before: dict[str, Tensor] = {}  # the buffers before the minibatch under way
        self.updates = self._drawn = 0

    @property
    def lr(self) -> float:
        """Learning rate of the next optimizer step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def begin(self) -> None:
        """Draw the next minibatch and let the trunk look at it."""
        epoch, position = divmod(self._drawn, self.batches)
        if self._order[0] != epoch:
            self._order = epoch, self._shuffled(epoch)
        rows = self._regime.batch_size // self._size
        start = position * self._regime.batch_size + self._rank * rows
        self._drawn += 1
        self._before = copies(self.model)
        self.samples = self._problem.samples("train", self._order[1][start : start + rows])
        self.features = self.look(self.samples)
        average(statistics(self.model), self._company)

    def look(self, samples: ImageBatch) -> Float[Tensor, "rows features"]:
        """What the trunk makes of these images."""
        images = samples.images.to(self._hardware.device)
        if self._hardware.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with self._hardware.forward():
            features: Tensor = self.model.trunk(images)  # type: ignore[operator]
        return features.to(torch.promote_types(features.dtype, torch.float32))

    def losses(self, scores: Float[Tensor, "rows classes"], rows: slice) -> Float[Tensor, " rows"]:
        """The losses of these rows of the minibatch, with their graph."""
        samples = self.samples
        task, label = samples.task[rows].to(scores.device), samples.label[rows].to(scores.device)
        return self._problem.losses(scores, task, label)

    def learn(self, losses: Float[Tensor, " rows"]) -> str:
        """Train on all rows' mean loss; say what failed, and then change no parameter.

        The buffers are then as before the minibatch.

        In a company `losses` are of this process's rows.
        """
        names = self._problem.tasks
        task = self.samples.task.to(losses.device)
        sums = losses.new_zeros(len(names)).index_add(0, task, losses)
        whole = sums.detach().clone()
        average([whole], self._company)
        failure = failed_losses(whole.cpu(), names)
        if not failure:
            failure = self._backward(sums / len(losses))
        if failure:
            self._optimizer.zero_grad()  # then its step moves nothing; schedulers ask for one
            put_back(self.model, self._before)
        self._optimizer.step()
        self.updates += 1
        if self._timing.per_step or self.updates % self.batches == 0:
            self._scheduler.step()
        return failure

    def state_dict(self) -> dict[str, Any]:
        """All that a training of the same problem, schedule and seed needs to continue."""
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
        """Continue from that state, with its last minibatch under way."""
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self._scheduler.load_state_dict(state["scheduler"])
        self.updates, self._drawn = int(state["updates"]), int(state["drawn"]) - 1
        names = [name for name, _ in self.model.named_buffers()]
        put_back(self.model, {name: state["before"][name] for name in names})
        self.begin()
        put_back(self.model, {name: state["model"][name] for name in names})

    def _shuffled(self, epoch: int) -> NDArray[Any]:
        rng = np.random.default_rng([self._seed, ORDER, epoch])
        if not self._regime.balanced:
            return rng.permutation(self._problem.size("train"))
        task, sizes = self._problem.data.splits["train"].task, self._problem.sizes("train")
        own = [rng.permutation(np.flatnonzero(task == t))[: sizes.min()] for t in range(len(sizes))]
        return np.stack(own, axis=1).reshape(-1)

    def _backward(self, terms: Float[Tensor, " tasks"]) -> str:
        self._optimizer.zero_grad()
        terms.sum().backward(retain_graph=True)  # for the blame, should there be any
        average_gradients(self.model.parameters(), self._company)
        if soundness(self.model):
            return ""
        return blame(self.model, terms, self._problem.tasks, self._company)
