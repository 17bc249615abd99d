"""The mean gradient, projected onto the directions that harm no task."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym.balancing.gradients.nonnegative_qp import minimise
from mtlgym.balancing.gradients.unit_gramian import inverses, unit_gramian


@dataclass
class DualProj:
    """Take the direction nearest to the mean gradient that conflicts with no task.

    d = argmin |d - g_0|^2 over G d >= 0, g_0 the mean gradient. By its dual d = G^T w with
    w = argmin w'Kw over w >= 1 / tasks.

    Source: Lopez-Paz, Ranzato (NeurIPS 2017), https://arxiv.org/abs/1706.08840, equation 11; the
    name and the mean from Quinton, Rey (2024), https://arxiv.org/abs/2406.16232. Heads are trained
    with unit weights.
    Differs from it in that the Gramian is not regularised, so that the projection is exact.

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
        tasks, largest = len(norms), norms.max()
        weights = np.full(tasks, 1.0 / tasks)
        if largest > 0:
            slope = -(cosines @ (norms / (largest * tasks)))
            weights += largest * inverses(norms) * minimise(cosines, slope, slope > 0)
        return torch.from_numpy(weights)
