"""A network in training on minibatches of one size, whose losses are made by someone else."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from mtlgym import checks
from mtlgym.lookup import lookup
from mtlgym.problems.images import ImageProblem, Samples
from mtlgym.randomness import MODEL, ORDER, private_randomness
from mtlgym.training.failure import blame, failed_losses, soundness
from mtlgym.training.hardware import Hardware
from mtlgym.training.optimizers import OPTIMIZERS
from mtlgym.training.schedulers import SCHEDULERS


@dataclass(frozen=True)
class Regime:
    """How a network is trained, whatever routes its samples.

    Attributes:
        epochs: that the learning rate's schedule and `is_open` reckon with; training can go on.
        batch_size: samples of a gradient step. An epoch's rest that fills no batch is left out.
        optimizer: a key of `OPTIMIZERS`.
        lr: the learning rate, which the scheduler's factors multiply.
        weight_decay: the optimizer's.
        scheduler: a key of `SCHEDULERS` but for `plateau`; `tenth` is said to be the paper's.
        balanced: whether every minibatch has as many samples of each task, row r of task r modulo
            the tasks; an epoch then ends with the task of the fewest samples, and the rest of the
            others' is left out.
    """

    epochs: int = 50
    batch_size: int = 64
    optimizer: str = "sgd"
    lr: float = 1e-2
    weight_decay: float = 0.0
    scheduler: str = "tenth"
    balanced: bool = False

    def __post_init__(self) -> None:
        """Refuse what no training can be made of."""
        for name in ("epochs", "batch_size"):
            checks.integer(name, getattr(self, name), least=1)
        checks.real("lr", self.lr, 0.0, open_end=True)
        checks.real("weight_decay", self.weight_decay, 0.0)
        lookup(OPTIMIZERS, self.optimizer, "optimizer")
        lookup({k: v for k, v in SCHEDULERS.items() if k != "plateau"}, self.scheduler, "scheduler")
        checks.flag("balanced", self.balanced)

    def batches(self, sizes: NDArray[np.int64]) -> int:
        """Minibatches in an epoch of so many training samples of each task, (tasks,).

        Raises:
            ValueError: if they fill none, or a balanced one has no equal share for each task.
        """
        size, allowed = self.batch_size, f"at most the number of training samples, {sizes.sum()}"
        used = sizes.sum()
        if self.balanced:
            used = sizes.min() * len(sizes)
            allowed = f"a multiple of the tasks, {len(sizes)}, and at most {used}, as `balanced`"
        if used < size or (self.balanced and size % len(sizes)):
            raise ValueError(
                f"`batch_size` (in the vector form `num_envs`) must be {allowed}, not {size}"
            )
        return int(used) // size


class MinibatchTraining:
    """A network and its optimizer; the samples come in a fresh permutation an epoch.

    Attributes:
        model: the network in training.
        samples: the minibatch under way.
        features: what the model's trunk makes of it, with a graph.
        updates: minibatches trained on so far.
        batches: minibatches in an epoch.
    """

    samples: Samples
    features: Float[Tensor, "rows features"]

    def __init__(
        self,
        problem: ImageProblem,
        build: Callable[[], nn.Module],
        regime: Regime,
        hardware: Hardware,
        seed: int,
    ) -> None:
        """Build the network; all chance comes from `seed`, in [0, 2^63).

        Raises:
            ValueError: for a `batch_size` that the problem's tasks do not allow.
        """
        self._problem, self._regime, self._hardware = problem, regime, hardware
        self._seed = seed
        self.batches = regime.batches(problem.sizes("train"))
        with private_randomness(torch.device(hardware.device), seed, MODEL):
            self.model = hardware.place(build())
        fused = hardware.fused or None
        make = OPTIMIZERS[regime.optimizer]
        self._optimizer = make(self.model.parameters(), regime.lr, regime.weight_decay, fused)
        self._timing = SCHEDULERS[regime.scheduler]
        self._scheduler = self._timing.make(self._optimizer, self.batches * regime.epochs)
        self._order: tuple[int, NDArray[Any]] = (-1, np.empty(0, np.int64))
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
        start = position * self._regime.batch_size
        chosen = self._order[1][start : start + self._regime.batch_size]
        self._drawn += 1
        self.samples = self._problem.samples("train", chosen)
        self.features = self.look(self.samples)

    def look(self, samples: Samples) -> Float[Tensor, "rows features"]:
        """What the trunk makes of these images."""
        images = samples.images.to(self._hardware.device)
        if self._hardware.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with self._hardware.forward():
            features: Tensor = self.model.trunk(images)  # type: ignore[operator]
        return features.float()

    def losses(self, scores: Float[Tensor, "rows classes"], rows: slice) -> Float[Tensor, " rows"]:
        """The losses of these rows of the minibatch, with their graph."""
        samples = self.samples
        task, label = samples.task[rows].to(scores.device), samples.label[rows].to(scores.device)
        return self._problem.losses(scores, task, label)

    def learn(self, losses: Float[Tensor, " rows"]) -> str:
        """Train on all rows' mean loss; say what failed, and then change no parameter."""
        names = self._problem.tasks
        task = self.samples.task.to(losses.device)
        sums = losses.new_zeros(len(names)).index_add(0, task, losses)
        failure = failed_losses(sums.detach().cpu(), names)
        if not failure:
            failure = self._backward(sums / len(losses))
        if failure:
            self._optimizer.zero_grad()  # then its step moves nothing; schedulers ask for one
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
        self.begin()
        # Looking moved the running statistics, which the state holds as moved already; `.data`
        # because the graph of the features refers to them without needing their values.
        for name, buffer in self.model.named_buffers():
            buffer.data.copy_(state["model"][name])

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
        if soundness(self.model):
            return ""
        return blame(self.model, terms, self._problem.tasks)
