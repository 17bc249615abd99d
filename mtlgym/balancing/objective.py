"""What task weights multiply: the losses, or their logarithms."""

import torch
from jaxtyping import Float
from torch import Tensor

TRANSFORMS = ("none", "log")


def weighted(
    losses: Float[Tensor, " tasks"], weights: Float[Tensor, " tasks"], transform: str
) -> Float[Tensor, " tasks"]:
    """The objective's terms w_i L_i (`none`) or w_i log L_i (`log`), with the losses' graph.

    The logarithm makes the objective invariant to the losses' scales. A loss of zero is taken as
    the smallest normal number and passes no gradient: there is nothing left to improve.

    Source: Dai et al. (UAI 2023), eq. 2; the logarithm from Navon et al. (ICML 2022).
    """
    if transform == "log":
        losses = losses.clamp(min=torch.finfo(losses.dtype).tiny).log()
    return weights * losses


def slopes(
    losses: Float[Tensor, " tasks"], weights: Float[Tensor, " tasks"], transform: str
) -> Float[Tensor, " tasks"]:
    """The derivatives of the objective's terms in the losses: w_i (`none`) or w_i / L_i (`log`).

    0 for a loss that `weighted` takes as the smallest normal number.
    """
    if transform == "none":
        return weights
    return torch.where(losses >= torch.finfo(losses.dtype).tiny, weights / losses, 0.0)
