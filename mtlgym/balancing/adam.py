"""Adam on a plain tensor, for the few numbers that a method itself learns."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

BETAS = (0.9, 0.999)
EPS = 1e-8


def adam_step(
    parameter: Float[Tensor, " tasks"],
    gradient: Float[Tensor, " tasks"],
    moments: dict[str, Any],
    lr: float,
    weight_decay: float = 0.0,
) -> tuple[Float[Tensor, " tasks"], dict[str, Any]]:
    """One step of Adam with betas (.9, .999), eps 1e-8 and L2 weight decay, changing no argument.

    Source: Kingma, Ba (ICLR 2015), https://arxiv.org/abs/1412.6980, Algorithm 1; the decay is
    added to the gradient, as in `torch.optim.Adam`.

    Args:
        parameter: what is learned.
        gradient: of the objective that goes down.
        moments: what the step before returned; empty at the first.
        lr: step size, in the parameter's unit.
        weight_decay: factor of the L2 penalty's gradient.

    Returns:
        The new parameter and the new moments: `step` (int), `mean` and `square` (tasks,).
    """
    gradient = gradient + weight_decay * parameter
    step = moments.get("step", 0) + 1
    mean = moments.get("mean", torch.zeros_like(gradient))
    square = moments.get("square", torch.zeros_like(gradient))
    mean = BETAS[0] * mean + (1 - BETAS[0]) * gradient
    square = BETAS[1] * square + (1 - BETAS[1]) * gradient**2
    spread = square.sqrt() / math.sqrt(1 - BETAS[1] ** step) + EPS
    moved = parameter - lr / (1 - BETAS[0] ** step) * mean / spread
    return moved, {"step": step, "mean": mean, "square": square}
