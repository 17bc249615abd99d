"""The options of a routed network's training."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.lookup import lookup
from mtlgym.training.schedule import OPTIMIZERS, SCHEDULERS


@dataclass(frozen=True)
class TrainerOptions:
    """How a routed network is trained.

    Attributes:
        epochs: length of the learning rate's schedule, after which `is_open` is False; training
            may continue.
        batch_size: samples of a gradient step. Samples at an epoch's end that do not fill a batch
            are left out.
        optimizer: a key of `OPTIMIZERS`.
        lr: the learning rate, which the scheduler's factors multiply.
        weight_decay: weight decay of the optimizer.
        scheduler: a key of `SCHEDULERS` except `plateau`; `tenth` is reported to be the paper's.
        balanced: whether every minibatch has equally many samples of each task, row r being of
            task r modulo the number of tasks; an epoch then ends when the smallest task's samples
            are used up, and the remaining ones of the other tasks are left out.
    """

    epochs: int = 50
    batch_size: int = 64
    optimizer: str = "sgd"
    lr: float = 1e-2
    weight_decay: float = 0.0
    scheduler: str = "tenth"
    balanced: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        checks.integer("epochs", self.epochs, least=1, most=checks.WHOLE - 1)
        checks.integer("batch_size", self.batch_size, least=1)
        checks.real("lr", self.lr, 0.0, open_end=True, most=checks.MOST)
        checks.real("weight_decay", self.weight_decay, 0.0, most=checks.MOST)
        lookup(OPTIMIZERS, self.optimizer, "optimizer")
        lookup({k: v for k, v in SCHEDULERS.items() if k != "plateau"}, self.scheduler, "scheduler")
        checks.flag("balanced", self.balanced)

    def batches(self, sizes: NDArray[np.int64]) -> int:
        """Number of minibatches in an epoch, given each task's training samples, (tasks,).

        Raises:
            ValueError: if the samples do not fill a minibatch, or a balanced one cannot have as
                many samples of each task.
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
