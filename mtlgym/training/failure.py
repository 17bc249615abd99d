"""What a broken training looks like, and which task broke it."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


def failed_losses(losses: Tensor, names: Sequence[str]) -> str:
    """Name the first loss that is not finite or is negative; empty if all are sound."""
    if bool(((losses >= 0) & losses.isfinite()).all()):
        return ""
    index, value = next((i, x) for i, x in enumerate(losses.tolist()) if not 0 <= x < float("inf"))
    return f"the loss of {names[index]} is {value}"


def sound_gradients(model: nn.Module) -> bool:
    """Whether all gradients are finite."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    # The largest entry, not the 2-norm, whose squares overflow where the entries do not.
    return bool(torch.nn.utils.get_total_norm(gradients, norm_type=float("inf")).isfinite())


def blame(model: nn.Module, losses: Float[Tensor, " tasks"], names: Sequence[str]) -> str:
    """Name the tasks whose own gradient is not finite; all, if only their sum is.

    Where the tasks' losses meet in one tensor, an infinite derivative in one of them can make the
    gradients of all of them NaN; then all are named.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    broken = []
    for name, loss in zip(names, losses, strict=True):
        own = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        if not all(bool(g.isfinite().all()) for g in own if g is not None):
            broken.append(name)
    return f"the gradient of {', '.join(broken or names)} is not finite"
