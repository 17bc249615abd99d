"""Independent component alignment."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from scipy.linalg.lapack import dgejsv
from torch import Tensor

from mtlgym import checks
from mtlgym.balancing.gradients.unit_gramian import DEPENDENT, inverses, unit_gramian

ROWS_AND_COLUMNS = 2  # LAPACK's JOBA = "F": singular values exact however rows are scaled
WITH_VECTORS = 0  # LAPACK's JOBU = "U", JOBV = "V"
FULL_RANGE = 0  # LAPACK's JOBR = "N": no singular value is too small


@dataclass
class AlignedMTL:
    """Make the gradients orthogonal and as long as their smallest component, then take the mean.

    K = V diag(l) V', w = sqrt(min l) V diag(l)^-1/2 V' 1 / tasks, over the l that are not zero.
    So G^T w is min l^1/2 times the mean of the orthonormal rows that are nearest to G.

    Source: Senushkin, Patakin, Kuznetsov, Konushin (CVPR 2023), https://arxiv.org/abs/2305.19000,
    Algorithm 1. Their code trains heads with unit weights by default.
    Differs from it in that the mean is taken where they leave the tasks' preferences open and their
    code takes the sum, and in how the roots are found: with K = S R'R S, S the norms, R S = U D V'
    to high relative accuracy, and w = min D S^-1 R^-1 U V' 1 / tasks, so that l may span 1e24.

    A zero gradient takes no part: weight 0; all zero: zeros. Rank one, so equal and opposing
    gradients too: the mean gradient, by the weights with the least sum of (w_i |g_i|)^2. Gradients
    count as dependent if an eigenvalue of the cosines is below 1e-14 of the tasks' number; a little
    above it, and if dependent ones are 1e8 times longer than others, the Gramian holds few
    digits of the shortest component, and the direction is imprecise. One task: 1.

    Attributes:
        times_tasks: multiply by the number of tasks, as the authors' code.

    Raises:
        ValueError: if `times_tasks` is not True or False; in the call, for a Gramian that is not
            square or not finite.
    """

    times_tasks: bool = False
    needs_jacobian: ClassVar[bool] = False
    transform: ClassVar[str] = "none"
    head_weighting: ClassVar[str] = "unit"

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        checks.flag("times_tasks", self.times_tasks)

    def __call__(
        self, gramian: Float[Tensor, "tasks tasks"], losses: Float[Tensor, " tasks"] | None = None
    ) -> Float[Tensor, " tasks"]:
        """Return weights of any sign."""
        cosines, norms = unit_gramian(gramian)
        there = norms > 0
        weights = np.zeros_like(norms)
        if there.any():
            weights[there] = _aligned(cosines[there][:, there], norms[there] / norms.max())
        weights *= norms.max() * inverses(norms) / (1 if self.times_tasks else len(norms))
        return torch.from_numpy(weights)


def _aligned(cosines: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """Sum over the rows of the aligned gradients, as coefficients of the unit gradients."""
    values, vectors = np.linalg.eigh(cosines)
    there = values > DEPENDENT * len(norms)
    roots = np.sqrt(values[there])
    vectors = vectors[:, there]
    factor = norms[:, None] * vectors * roots  # (tasks, rank): S R'
    lengths, right, left, work, _, failed = dgejsv(
        factor, joba=ROWS_AND_COLUMNS, jobu=WITH_VECTORS, jobv=WITH_VECTORS, jobr=FULL_RANGE
    )
    if failed:
        raise ArithmeticError(f"the components of {len(norms)} gradients did not converge")
    shortest = lengths[: len(roots)].min() * work[0] / work[1]
    weights: np.ndarray = shortest * (vectors / roots) @ (left @ right.sum(axis=0))
    return weights
