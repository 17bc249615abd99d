"""Whether gradients are what one plain backward pass gives."""

from collections.abc import Sequence

import torch
from torch import Tensor

TOLERANCE, HALF_TOLERANCE = 1e-3, 5e-2  # in units of the whole gradient's norm


def gradient(losses: Tensor, inputs: Sequence[Tensor], slopes: Tensor) -> list[Tensor | None]:
    """The gradient of sum slopes_t L_t; the graph is kept."""
    if not inputs:
        return []
    grads = torch.autograd.grad(losses, inputs, slopes, retain_graph=True, allow_unused=True)
    return list(grads)


def differ(found: Sequence[Tensor | None], wanted: Sequence[Tensor | None], *, half: bool) -> bool:
    """Whether the two are further apart than by rounding; False where they are not finite."""
    pairs = [
        (
            torch.zeros_like(b) if a is None else a,  # type: ignore[arg-type]
            torch.zeros_like(a) if b is None else b,  # type: ignore[arg-type]
        )
        for a, b in zip(found, wanted, strict=True)
        if a is not None or b is not None
    ]
    apart = torch.stack([(a - b).norm() for a, b in pairs]).double().norm()
    size = torch.stack([b.norm() for _, b in pairs]).double().norm()
    return bool(apart > (HALF_TOLERANCE if half else TOLERANCE) * size)
