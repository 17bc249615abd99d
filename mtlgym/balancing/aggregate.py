"""From the tasks' gradients to one direction, in one call."""

import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym.balancing.gradients import GradientMethod
from mtlgym.balancing.gramian import gramian
from mtlgym.balancing.method import gradient_method

SMALL = 1_000_000  # entries of a Jacobian that is multiplied in float64; more, in at least float32


def aggregate(
    method: str | GradientMethod,
    jacobian: Float[Tensor, "tasks parameters"],
    losses: Float[Tensor, " tasks"] | None = None,
) -> Float[Tensor, " parameters"]:
    """Combine the tasks' gradients into the direction of one gradient method.

        direction = aggregate("mgda", jacobian)

    The scale: that of a convex combination for mgda and imtl_g (weights sum to 1), of the mean
    gradient for aligned_mtl, cagrad, dualproj and upgrad, of the sum for db_mtl, graddrop, gradnorm
    and pcgrad; nash and fairgrad have their own.

    Args:
        method: a name and perhaps settings, such as "cagrad:c=0.4", for a fresh state, or a
            method's instance, whose state is updated.
        jacobian: one task's gradient a row, of any float type, on any device.
        losses: the tasks' losses, for the methods that use them.

    Returns:
        The direction, in the type and on the device of the Jacobian, without a graph.

    Raises:
        ValueError: for an unknown name, or a Jacobian that is not finite.
    """
    if jacobian.ndim != 2 or not jacobian.is_floating_point():
        raise ValueError(
            "`jacobian` must be of shape (tasks, parameters) and of a float type, not "
            f"{tuple(jacobian.shape)} and {jacobian.dtype}"
        )
    if losses is not None and losses.shape != jacobian.shape[:1]:
        raise ValueError(
            f"`losses` must be one for each of the {len(jacobian)} tasks, not {losses.shape}"
        )
    chosen = gradient_method(method) if isinstance(method, str) else method
    jacobian = jacobian.detach()
    if chosen.needs_jacobian:
        return chosen(jacobian, losses)
    least = torch.float64 if jacobian.numel() <= SMALL else torch.float32
    wide = jacobian.to(torch.promote_types(jacobian.dtype, least))
    weights = chosen(gramian(wide), losses).clamp(max=torch.finfo(wide.dtype).max)
    return (weights.to(wide) @ wide).to(jacobian.dtype)
