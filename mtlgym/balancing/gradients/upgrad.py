"""Unconflicting projection of gradients."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym.balancing.gradients.nonnegative_qp import minimise
from mtlgym.balancing.gradients.unit_gramian import inverses, unit_gramian


@dataclass
class UPGrad:
    """Project each gradient onto the directions that harm no task, then take the mean.

    d = mean_i argmin |d_i - g_i|^2 over G d_i >= 0. By its dual, with C the cosines and e_i the
    i-th unit vector, d_i = |g_i| sum_j (e_i + y_i)_j g_j / |g_j| and
    y_i = argmin (e_i + y)'C(e_i + y) over y >= 0: a problem that the norms do not enter.

    Source: Quinton, Rey (2024), https://arxiv.org/abs/2406.16232, equation 5. Heads are trained
    with unit weights.
    Differs from it in that the Gramian is not regularised, so that the projections are exact.

    A zero gradient, or one that takes no part in a conflict: weight 1 / tasks, and so for all zero,
    equal, or rank one of one sign. Opposing gradients: the direction zero. One task: 1.

    Raises:
        ValueError: in the call, for a Gramian that is not square or not finite.
    """

    needs_jacobian: ClassVar[bool] = False
    transform: ClassVar[str] = "none"
    head_weighting: ClassVar[str] = "unit"

    def __call__(
        self, gramian: Float[Tensor, "tasks tasks"], losses: Float[Tensor, " tasks"] | None = None
    ) -> Float[Tensor, " tasks"]:
        """Return weights of at least 1 / tasks."""
        cosines, norms = unit_gramian(gramian)
        added = norms @ projections(cosines)
        return torch.from_numpy((1.0 + added * inverses(norms)) / len(norms))


def projections(cosines: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """y_i in row i: the sum of unit gradients that removes the i-th one's conflicts."""
    added = np.zeros_like(cosines)
    for i, row in enumerate(cosines):
        if row.min() < 0:
            added[i] = minimise(cosines, -row, row < 0)
    return added
