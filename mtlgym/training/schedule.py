"""Optimizers and learning-rate schedules."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau, StepLR

Parameters = Iterable[torch.nn.Parameter]


def adam(parameters: Parameters, lr: float, weight_decay: float, fused: bool | None) -> Optimizer:
    """Adam; weight decay is an L2 penalty, whose gradient enters the moments."""
    return Adam(parameters, lr=lr, weight_decay=weight_decay, fused=fused)


def adamw(parameters: Parameters, lr: float, weight_decay: float, fused: bool | None) -> Optimizer:
    """Adam with decoupled weight decay of matrices, not of biases or normalisations' scales.

    Source: Loshchilov and Hutter (ICLR 2019); choice of decayed parameters: the code of Devlin et
    al. (NAACL 2019).
    """
    every = list(parameters)
    groups = [
        {"params": [p for p in every if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in every if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return AdamW([group for group in groups if group["params"]], lr=lr, fused=fused)


def sgd(parameters: Parameters, lr: float, weight_decay: float, fused: bool | None) -> Optimizer:
    """Stochastic gradient descent without momentum."""
    return SGD(parameters, lr=lr, weight_decay=weight_decay, fused=fused)


OPTIMIZERS: dict[str, Callable[[Parameters, float, float, bool | None], Optimizer]] = {
    "adam": adam,
    "adamw": adamw,
    "sgd": sgd,
}


WARM_UP = 0.1  # share of the budget


def constant(optimizer: Optimizer, budget: int) -> LRScheduler:
    """The same learning rate throughout."""
    return LambdaLR(optimizer, _one)


def halve(optimizer: Optimizer, budget: int) -> LRScheduler:
    """Halve the learning rate after every 100 epochs, as published for NYUv2."""
    return StepLR(optimizer, step_size=100, gamma=0.5)


def halve_fifths(optimizer: Optimizer, budget: int) -> LRScheduler:
    """Halve the learning rate after every fifth of the budget: 3000 of the 15,000 steps of VMTL."""
    return StepLR(optimizer, step_size=max(1, budget // 5), gamma=0.5)


def linear(optimizer: Optimizer, budget: int) -> LRScheduler:
    """Linear warm-up over the first tenth of the budget, then linear decay to 0 at its end.

    Source: Devlin et al. (NAACL 2019), appendix A; the share of the warm-up is that of their code
    for fine-tuning.
    Differs from it in that the decay begins after the warm-up, at the whole learning rate.
    """
    return LambdaLR(optimizer, partial(_warm_up_and_decay, budget))


def plateau(optimizer: Optimizer, budget: int) -> LRScheduler:
    """Multiply the learning rate by 0.7 after 5 epochs without a better validation score.

    It stays at least 1e-5, as published for QM9.
    """
    return ReduceLROnPlateau(optimizer, factor=0.7, patience=5, min_lr=1e-5)


def tenth(optimizer: Optimizer, budget: int) -> LRScheduler:
    """Divide the learning rate by 10 after every 20 epochs, as reported for routing."""
    return StepLR(optimizer, step_size=20, gamma=0.1)


# No closures, as a scheduler could not be pickled with them.
def _one(epoch: int) -> float:
    return 1.0


def _warm_up_and_decay(budget: int, step: int) -> float:
    rising = max(1, round(WARM_UP * budget))
    falling = (budget - step) / max(1, budget - rising)
    return max(0.0, min((step + 1) / rising, falling))


@dataclass(frozen=True)
class Schedule:
    """A learning-rate schedule.

    Attributes:
        make: `(optimizer, budget in optimizer steps) -> scheduler`.
        per_step: whether its scheduler steps after every optimizer step, not after every epoch.
    """

    make: Callable[[Optimizer, int], LRScheduler]
    per_step: bool = False


SCHEDULERS = {
    "constant": Schedule(constant),
    "halve": Schedule(halve),
    "halve_fifths": Schedule(halve_fifths, per_step=True),
    "linear": Schedule(linear, per_step=True),
    "plateau": Schedule(plateau),
    "tenth": Schedule(tenth),
}
