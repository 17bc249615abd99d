"""Which losses and settings the methods accept, and the range that keeps their weights finite."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

TINY = 2.0**-126  # the smallest normal float32: what its losses round to before they are zero
HUGE = 2.0**126


def check_losses(losses: Float[Tensor, " tasks"], *, signed: bool) -> None:
    """Refuse losses that are not finite and, unless `signed`, negative ones.

    Raises:
        ValueError: names the first such task and its loss.
    """
    bad = ~torch.isfinite(losses)
    if not signed:
        bad |= losses < 0
    if bad.any():
        task = int(bad.nonzero()[0])
        allowed = "finite" if signed else "finite and not negative"
        raise ValueError(f"`losses[{task}]` must be {allowed}, not {float(losses[task])}")


def bounded(losses: Float[Tensor, " tasks"]) -> Float[Tensor, " tasks"]:
    """The losses as float64 on the CPU, clamped to [2**-126, 2**126] (about 1e-38 to 1e38).

    Any two of them have a finite ratio, logarithm and square, so no weight is infinite or NaN: a
    loss of zero counts as 2**-126.

    Raises:
        ValueError: for a loss that is negative or not finite.
    """
    check_losses(losses, signed=False)
    return losses.detach().to("cpu", torch.float64).clamp(TINY, HUGE)


def check_positive(name: str, value: float) -> None:
    """Refuse a setting that is not a positive finite number.

    Raises:
        ValueError: names the setting and its value.
    """
    if not 0 < value < math.inf:
        raise ValueError(f"`{name}` must be a positive finite number, not {value}")
