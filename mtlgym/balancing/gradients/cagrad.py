"""Conflict-averse gradient descent."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym import checks
from mtlgym.balancing.gradients.largest_gain import largest_gain
from mtlgym.balancing.gradients.unit_gramian import inverses, unit_gramian


@dataclass
class CAGrad:
    """Take the direction near the mean gradient that is best for the task it serves least.

    d = argmax min_i g_i.d over |d - g_0| <= c |g_0|, g_0 the mean gradient. By its dual,
    d = g_0 + c |g_0| g_v / |g_v|, with v = argmin g_0.g_v + c |g_0| |g_v| over v >= 0, sum v = 1,
    g_v = G^T v. For c >= 1 it never conflicts: zero is within reach. For c < 1 it may.

    Source: Liu, Liu, Jin, Stone, Liu (NeurIPS 2021), https://arxiv.org/abs/2110.14048,
    Algorithm 1. Heads are trained with unit weights.
    Differs from it in that the problem is solved exactly: the gradients nearest to g_0 that serve
    each task at least by m are found by an active-set method, and m by a root in one dimension.

    If the best m is zero and the ball is larger than it needs to be (zero is in the convex hull of
    the gradients, and g_v = 0, to 1e-5 of the sum v_i |g_i|), the nearest to g_0 of the best d is
    taken. A zero gradient: its weight is 1 / tasks. Zero mean: weights 1 / tasks, direction zero.
    Equal gradients, rank one of one sign, one task: (1 + c) g_0. Two opposing gradients:
    (1 - c) g_0, and zero for c >= 1.

    Attributes:
        c: radius of the ball, in |g_0|; 0 is equal weights. 0.5 in the paper's toy, 0.4 for NYUv2.
        rescale: divide by 1 + c^2, as the authors' code.
        times_tasks: multiply by the number of tasks, as the authors' code.

    Raises:
        ValueError: for a setting out of range; in the call, for a Gramian that is not square or not
            finite.
    """

    c: float = 0.5
    rescale: bool = False
    times_tasks: bool = False
    needs_jacobian: ClassVar[bool] = False
    needs_losses: ClassVar[bool] = False
    transform: ClassVar[str] = "none"
    head_weighting: ClassVar[str] = "unit"

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        checks.real("c", self.c, 0.0)
        checks.flag("rescale", self.rescale)
        checks.flag("times_tasks", self.times_tasks)

    def __call__(
        self, gramian: Float[Tensor, "tasks tasks"], losses: Float[Tensor, " tasks"] | None = None
    ) -> Float[Tensor, " tasks"]:
        """Return weights of at least 1 / tasks (before `rescale` and `times_tasks`)."""
        cosines, norms = unit_gramian(gramian)
        tasks, largest = len(norms), norms.max()
        weights = np.full(tasks, 1.0 / tasks)
        if self.c > 0 and largest > 0:
            mean = norms / (largest * tasks)
            weights += largest * inverses(norms) * largest_gain(cosines, norms, mean, self.c)
        if self.rescale:
            weights /= 1 + self.c**2
        return torch.from_numpy(weights * tasks if self.times_tasks else weights)
