"""Detection of broken trainings: invalid losses and non-finite gradients, and whose they are."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mtlgym.distributed.collectives import Group, any_process


def loss_failure(losses: Tensor, names: Sequence[str]) -> str:
    """Describe the first loss that is negative or not finite; empty if all are valid."""
    if bool(((losses >= 0) & losses.isfinite()).all()):
        return ""
    index, value = next((i, x) for i, x in enumerate(losses.tolist()) if not 0 <= x < float("inf"))
    return f"the loss of {names[index]} is {value}"


def gradient_failure(names: Sequence[str]) -> str:
    """Describe a failure by the gradients of these tasks."""
    return f"the weighted gradient of {', '.join(names)} is not finite"


def gradients_are_finite(model: nn.Module) -> Bool[Tensor, ""]:
    """Whether all gradients are finite, and also their squares, which Adam accumulates."""
    return _are_finite([p.grad for p in model.parameters() if p.grad is not None])


def failing_tasks(
    model: nn.Module,
    terms: Float[Tensor, " tasks"],
    names: Sequence[str],
    group: Group = None,
) -> Sequence[str]:
    """The names of the tasks whose own gradient is not finite; of all, if only the sum is not.

    If all losses are computed in one tensor, an infinite derivative of one of them can make the
    gradients of all of them NaN; then all tasks are named.

    Args:
        model: the model.
        terms: of the objective, one a task, with their graph.
        names: the tasks' names.
        group: processes that share the batch; a gradient that is not finite in any of them counts.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    broken = []
    for term in terms:
        own = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
        broken.append(not _are_finite([gradient for gradient in own if gradient is not None]))
    broken = any_process(broken, group, terms.device)
    return [name for name, is_broken in zip(names, broken, strict=True) if is_broken] or names


def _are_finite(gradients: list[Tensor]) -> Bool[Tensor, ""]:
    # The implementation of torch's clip_grad_norm_: one call for all parameters.
    return torch.stack(torch._foreach_norm(gradients)).isfinite().all()
