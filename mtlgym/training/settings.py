"""How a model is trained: optimizer, learning-rate schedule, budget."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau, StepLR

from mtlgym.lookup import lookup

Parameters = Iterable[torch.nn.Parameter]


def constant(optimizer: torch.optim.Optimizer) -> LRScheduler:
    """The same learning rate throughout."""
    return LambdaLR(optimizer, lambda epoch: 1.0)


def halve(optimizer: torch.optim.Optimizer) -> LRScheduler:
    """Half the learning rate after every 100 epochs, as published for NYUv2."""
    return StepLR(optimizer, step_size=100, gamma=0.5)


def plateau(optimizer: torch.optim.Optimizer) -> LRScheduler:
    """0.7 of the learning rate (at least 1e-5) after 5 epochs without a better validation score.

    As published for QM9.
    """
    return ReduceLROnPlateau(optimizer, factor=0.7, patience=5, min_lr=1e-5)


SCHEDULERS: dict[str, Callable[[torch.optim.Optimizer], LRScheduler]] = {
    "constant": constant,
    "halve": halve,
    "plateau": plateau,
}


@dataclass(frozen=True)
class Training:
    """How a model is trained, whatever chooses the weights.

    Attributes:
        epochs: length of a training in epochs.
        batch_size: samples of a source in a batch.
        lr: Adam's learning rate at the start.
        weight_decay: Adam's L2 penalty.
        scheduler: a key of `SCHEDULERS`; steps once an epoch.
        validate_every: epochs between two validations, which choose the best model; 0 for never.
        device: where model and batches live.
    """

    epochs: int = 10
    batch_size: int = 32
    lr: float = 1e-3
    weight_decay: float = 0.0
    scheduler: str = "constant"
    validate_every: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Refuse what no training can be made of."""
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if not (isinstance(value, int) and value > 0):
                raise ValueError(f"`{name}` must be a positive integer, not {value!r}")
        if not 0 < self.lr < float("inf"):
            raise ValueError(f"`lr` must be positive and finite, not {self.lr!r}")
        if not 0 <= self.weight_decay < float("inf"):
            raise ValueError(f"`weight_decay` must be >= 0 and finite, not {self.weight_decay!r}")
        every = self.validate_every
        if not (isinstance(every, int) and every >= 0):
            raise ValueError(f"`validate_every` must be an integer >= 0, not {every!r}")
        lookup(SCHEDULERS, self.scheduler, "scheduler")
        if self.scheduler == "plateau" and every != 1:
            raise ValueError("scheduler 'plateau' needs `validate_every=1`")

    def optimizer(self, parameters: Parameters) -> torch.optim.Optimizer:
        """Adam over these parameters."""
        return torch.optim.Adam(parameters, lr=self.lr, weight_decay=self.weight_decay)
