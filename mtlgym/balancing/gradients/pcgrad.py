"""Projecting conflicting gradients."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym import checks
from mtlgym.balancing.gradients.unit_gramian import inverses, unit_gramian


@dataclass
class PCGrad:
    """Remove from each task's gradient the parts that conflict with the others, then add them up.

    For every i: v = g_i; for every j != i, in random order: if v.g_j < 0, v -= v.g_j g_j / |g_j|^2.
    The direction is the sum of the v.

    Source: Yu, Kumar, Gupta, Levine, Hausman, Finn (NeurIPS 2020),
    https://arxiv.org/abs/2001.06782, Algorithm 1. Heads are trained with unit weights.
    Differs from it in that the order comes from a generator of its own and that the coefficients
    are found from the Gramian alone, for all i at once. With more than two tasks the direction may
    still conflict: a projection can undo an earlier one.

    Draw k comes from a generator seeded by (`seed`, k): its state is one number. Permuting the
    tasks permutes the weights' distribution, and the weights themselves for one or two tasks.

    A zero gradient conflicts with none: weight 1. All zero, equal, rank one of one sign, or one
    task: weights 1. Two opposing gradients: each loses all, so the direction is zero.

    Attributes:
        seed: of the orders, a non-negative integer.

    Raises:
        ValueError: if `seed` is negative; in the call, for a Gramian that is not square or not
            finite.
    """

    seed: int = 0
    needs_jacobian: ClassVar[bool] = False
    transform: ClassVar[str] = "none"
    head_weighting: ClassVar[str] = "unit"
    _draws: int = field(default_factory=int, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse a seed that the generator cannot take."""
        checks.integer("seed", self.seed, 0)

    def __call__(
        self, gramian: Float[Tensor, "tasks tasks"], losses: Float[Tensor, " tasks"] | None = None
    ) -> Float[Tensor, " tasks"]:
        """Return non-negative weights, 1 for each task that conflicts with no other."""
        cosines, norms = unit_gramian(gramian)
        tasks = len(norms)
        rng = np.random.default_rng([self.seed, self._draws])
        self._draws += 1
        orders = rng.permuted(np.tile(np.arange(tasks), (tasks, 1)), axis=1)
        rows = np.arange(tasks)
        parts = np.eye(tasks)  # parts[i]: the coefficients of v, in units of |g_i|
        for others in orders.T:
            products = np.einsum("ij,ij->i", parts, cosines[others])
            products[others == rows] = 0.0
            parts[rows, others] -= np.minimum(products, 0.0)
        parts -= np.eye(tasks)
        return torch.from_numpy(1.0 + (norms @ parts) * inverses(norms))
