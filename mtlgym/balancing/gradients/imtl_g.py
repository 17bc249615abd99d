"""Impartial multi-task learning, its gradient balance."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym.balancing.gradients.unit_gramian import DEPENDENT, inverses, unit_gramian

SUM_TO_ZERO = 1e-12  # relative to the sum of the absolute weights


@dataclass
class IMTLG:
    """Take the direction whose projections onto all tasks' gradients are equal.

    d.g_i / |g_i| is the same for all i, d = G^T w, sum w = 1. With C the cosines and u_i = w_i s_i,
    C u is proportional to ones. Weights may be negative, and the common projection too.

    Source: Liu, Li, Kuang, Xue, Chen, Yang, Liao, Zhang (ICLR 2021),
    https://openreview.net/forum?id=IMPnRXEWpvr, equation 4. The code of Navon et al. (ICML 2022)
    weights the heads by w too.
    Differs from it in that no task is singled out to solve for the others' weights, and that
    dependent gradients are allowed: of several solutions it takes the least |u|.

    A zero gradient takes no part: weight 0. Equal gradients get equal weights. Rank one, of one
    sign: weights inverse to the norms. Opposing gradients have equal projections with the direction
    zero alone: w inverse to the norms. All zero, or weights that sum to zero and so cannot be made
    to sum to 1: zeros. One task: 1.

    Raises:
        ValueError: in the call, for a Gramian that is not square or not finite.
    """

    needs_jacobian: ClassVar[bool] = False
    transform: ClassVar[str] = "none"
    head_weighting: ClassVar[str] = "weighted"

    def __call__(
        self, gramian: Float[Tensor, "tasks tasks"], losses: Float[Tensor, " tasks"] | None = None
    ) -> Float[Tensor, " tasks"]:
        """Return weights that sum to 1, or zeros where there are none."""
        cosines, norms = unit_gramian(gramian)
        weights = _equal_slopes(cosines, (norms > 0).astype(float)) * inverses(norms)
        total, size = weights.sum(), np.abs(weights).sum()
        if abs(total) <= SUM_TO_ZERO * size:
            return torch.zeros(len(norms), dtype=torch.float64)
        return torch.from_numpy(weights / total)


def _equal_slopes(cosines: np.ndarray, ones: np.ndarray) -> np.ndarray:
    """The shortest u with C u proportional to ones: to zero times ones, if there is no other."""
    values, vectors = np.linalg.eigh(cosines)
    parts = ones @ vectors
    null = values < DEPENDENT * len(values)
    if (parts[null] ** 2).sum() > DEPENDENT**0.5:
        return vectors[:, null] @ parts[null]
    inverse = np.where(null, 0.0, 1.0 / np.where(null, 1.0, values))
    unit = vectors @ (inverse * parts)
    error: np.ndarray = ones - cosines @ unit
    return unit + vectors @ (inverse * (error @ vectors))
