"""What a broken training looks like, and which task broke it."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mtlgym.distributed.collectives import Group, any_process


def failed_losses(losses: Tensor, names: Sequence[str]) -> str:
    """Name the first loss that is not finite or is negative; empty if all are sound."""
    if bool(((losses >= 0) & losses.isfinite()).all()):
        return ""
    index, value = next((i, x) for i, x in enumerate(losses.tolist()) if not 0 <= x < float("inf"))
    return f"the loss of {names[index]} is {value}"


def soundness(model: nn.Module) -> Bool[Tensor, ""]:
    """Whether all gradients are finite, and their squares, which Adam adds up, too."""
    return _sound([p.grad for p in model.parameters() if p.grad is not None])


def blame(
    model: nn.Module,
    terms: Float[Tensor, " tasks"],
    names: Sequence[str],
    group: Group = None,
) -> str:
    """Name the tasks whose own gradient is not sound; all, if only their sum is not.

    Where the tasks' losses meet in one tensor, an infinite derivative in one of them can make the
    gradients of all of them NaN; then all are named.

    Args:
        model: the model.
        terms: of the objective, one a task, with their graph.
        names: the tasks.
        group: processes that share the batch; what is not sound in one of them counts.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    broken = []
    for term in terms:
        own = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
        broken.append(not _sound([gradient for gradient in own if gradient is not None]))
    found = any_process(broken, group, terms.device)
    return unsound([name for name, bad in zip(names, found, strict=True) if bad] or names)


def unsound(names: Sequence[str]) -> str:
    """What the gradients of these tasks are said to be."""
    return f"the weighted gradient of {', '.join(names)} is not finite"


def _sound(gradients: list[Tensor]) -> Bool[Tensor, ""]:
    # What torch's clip_grad_norm_ is made of: one call for all parameters.
    return torch.stack(torch._foreach_norm(gradients)).isfinite().all()
