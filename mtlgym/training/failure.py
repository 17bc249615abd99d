"""What a broken training looks like, and which task broke it."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def failed_losses(losses: Tensor, names: Sequence[str]) -> str:
    """Name the first loss that is not finite or is negative; empty if all are sound."""
    if bool(((losses >= 0) & losses.isfinite()).all()):
        return ""
    index, value = next((i, x) for i, x in enumerate(losses.tolist()) if not 0 <= x < float("inf"))
    return f"the loss of {names[index]} is {value}"


def failed_gradients(model: nn.Module, forward: Callable[[], Tensor], names: Sequence[str]) -> str:
    """Name the tasks whose gradient is not finite; empty if the model's gradients are sound.

    Where the tasks' losses meet in one tensor, an infinite derivative in one of them can make the
    gradients of all of them NaN; then all are named.

    Args:
        model: the model after a backward pass.
        forward: computes the same losses (names,) again, to find the tasks by their own gradients.
        names: the tasks of these losses.
    """
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    if bool(torch.nn.utils.get_total_norm(gradients).isfinite()):
        return ""
    parameters = [p for p in model.parameters() if p.requires_grad]
    broken = []
    for name, loss in zip(names, forward(), strict=True):
        own = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        if not all(bool(g.isfinite().all()) for g in own if g is not None):
            broken.append(name)
    return f"the gradient of {', '.join(broken or names)} is not finite"
