"""How a network is trained on minibatches of one size."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.lookup import lookup
from mtlgym.training.schedule import OPTIMIZERS, SCHEDULERS


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
        checks.integer("epochs", self.epochs, least=1, most=checks.WHOLE - 1)
        checks.integer("batch_size", self.batch_size, least=1)
        checks.real("lr", self.lr, 0.0, open_end=True, most=checks.MOST)
        checks.real("weight_decay", self.weight_decay, 0.0, most=checks.MOST)
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
