"""How a model is trained: optimizer, learning-rate schedule, budget."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau, StepLR

from mtlgym import checks
from mtlgym.lookup import lookup
from mtlgym.training.balance import Balance
from mtlgym.training.hardware import Hardware

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
        steps: length in optimizer steps, in place of `epochs`.
        batch_size: samples of a source in a batch.
        drop_last: leave out an epoch's last batch where it is smaller.
        lr: Adam's learning rate at the start.
        weight_decay: Adam's L2 penalty.
        scheduler: a key of `SCHEDULERS`; steps once an epoch.
        validate_every: epochs between two validations, which choose the best model; 0 for never.
        balance: how the tasks' gradients become one.
        hardware: what the training runs on.
    """

    epochs: int = 10
    steps: int | None = None
    batch_size: int = 32
    drop_last: bool = False
    lr: float = 1e-3
    weight_decay: float = 0.0
    scheduler: str = "constant"
    validate_every: int = 1
    balance: Balance = field(default_factory=Balance)
    hardware: Hardware = field(default_factory=Hardware)

    def __post_init__(self) -> None:
        """Refuse what no training can be made of."""
        for name in ("epochs", "batch_size"):
            checks.integer(name, getattr(self, name), least=1)
        if self.steps is not None:
            checks.integer("steps", self.steps, least=1)
        checks.real("lr", self.lr, 0.0, open_end=True)
        checks.real("weight_decay", self.weight_decay, 0.0)
        checks.integer("validate_every", self.validate_every, least=0)
        checks.flag("drop_last", self.drop_last)
        lookup(SCHEDULERS, self.scheduler, "scheduler")
        if self.scheduler == "plateau" and self.validate_every != 1:
            raise ValueError("scheduler 'plateau' needs `validate_every=1`")

    def optimizer(self, parameters: Parameters) -> torch.optim.Optimizer:
        """Adam over these parameters."""
        fused = self.hardware.fused or None  # None lets torch choose, as it does by default
        return torch.optim.Adam(parameters, lr=self.lr, weight_decay=self.weight_decay, fused=fused)
