"""Multi-task learning as a bargaining game."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym.balancing.gradients.barrier import solve
from mtlgym.balancing.gradients.unit_gramian import unit_gramian


@dataclass
class Nash:
    """Take the Nash bargaining solution: the direction with the largest product of utilities.

    K w = 1 / w, w > 0. So |G^T w| = sqrt(tasks), whatever the gradients' scales, and every task
    agrees: (K w)_i > 0.

    Source: Navon, Shamsian, Achituve, Maron, Kawaguchi, Chechik, Fetaya (ICML 2022),
    https://arxiv.org/abs/2202.01017, claim 3.1. Their code weights the heads by w too.
    Differs from it in that the equation is solved, to rounding, by Newton's method where theirs
    is a sequence of convex approximations, and in that the norm is not clipped here, where their
    code clips the shared gradient's to 1.

    A zero gradient takes no part: weight 0; all zero: zeros. Equal gradients get equal weights,
    and so does rank one of one sign after division by the norms. If a positive combination of
    gradients is zero, as of opposing ones, no solution exists: the weights are those of the cosines
    C + 1e-10 I, at most 1e5 / |g_i|. One task: 1 / |g|.

    Raises:
        ValueError: in the call, for a Gramian that is not square or not finite.
    """

    needs_jacobian: ClassVar[bool] = False
    transform: ClassVar[str] = "none"
    head_weighting: ClassVar[str] = "weighted"

    def __call__(
        self, gramian: Float[Tensor, "tasks tasks"], losses: Float[Tensor, " tasks"] | None = None
    ) -> Float[Tensor, " tasks"]:
        """Return positive weights, 0 for a zero gradient."""
        cosines, norms = unit_gramian(gramian)
        weights = torch.zeros(len(norms), dtype=torch.float64)
        there = norms > 0
        if there.any():
            part = cosines[there][:, there]
            weights[torch.from_numpy(there)] = torch.from_numpy(solve(part, norms[there], 1.0))
        return weights
