"""The optimizers that a training may use."""

from collections.abc import Callable, Iterable

import torch
from torch.optim import SGD, Adam, AdamW, Optimizer

Parameters = Iterable[torch.nn.Parameter]


def adam(parameters: Parameters, lr: float, weight_decay: float, fused: bool | None) -> Optimizer:
    """Adam; weight decay is an L2 penalty, whose gradient goes through the moments."""
    return Adam(parameters, lr=lr, weight_decay=weight_decay, fused=fused)


def adamw(parameters: Parameters, lr: float, weight_decay: float, fused: bool | None) -> Optimizer:
    """Adam with decoupled weight decay of matrices, not of biases or normalisations' scales.

    Source: Loshchilov and Hutter (ICLR 2019); what is decayed: Devlin et al. (NAACL 2019), code.
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
