"""The fast gradient sign method: features that are shifted to be misclassified."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from mtlgym import checks
from mtlgym.models.vmtl import VMTL


def attack(
    model: VMTL,
    x: Float[Tensor, "samples width"],
    labels: Int[Tensor, " samples"],
    task: int,
    epsilon: float,
) -> Float[Tensor, "samples width"]:
    """Features, shifted by epsilon times the sign of the loss's gradient at them.

    The loss is that of the posteriors' means.

    Source: Goodfellow, Shlens, Szegedy (2014); Variational Multi-Task Learning (2021), appendix
    B.5.
    Differs from attacks on images in that the features that the model is given are shifted.

    Args:
        model: in evaluation mode; its gradients are left as they are.
        x: scaled features of one domain.
        labels: their classes.
        task: the domain's index.
        epsilon: how far each feature is shifted, in the unit of the scaled features; one whose
            gradient is 0 is not.

    Raises:
        ValueError: for another task, or an `epsilon` that is negative or not finite.
    """
    task = checks.choice("task", task, model.tasks)
    checks.real("epsilon", epsilon, 0.0)
    with torch.enable_grad():
        inputs = x.detach().requires_grad_()
        scores = model.scores(inputs[None], slice(task, task + 1))[0, 0]
        loss = functional.cross_entropy(scores, labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, inputs)
    return x + epsilon * gradient.sign()
