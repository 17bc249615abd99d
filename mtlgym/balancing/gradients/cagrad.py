"""Conflict-averse gradient descent."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym import checks
from mtlgym.balancing.gradients.nonnegative_qp import minimise
from mtlgym.balancing.gradients.unit_gramian import RIDGE, inverses, unit_gramian

VANISHING = 1e-5  # |g_v| relative to sum v_i |g_i|: from the Gramian its length has no digit more
ROUNDING = 4e-16


def largest_gain(
    cosines: Float[np.ndarray, "n n"],
    norms: Float[np.ndarray, " n"],
    mean: Float[np.ndarray, " n"],
    c: float,
) -> Float[np.ndarray, " n"]:
    """The y >= 0 for which d = m + sum y_i e_i solves max min_i g_i.d over |d - m| <= c |m|.

    e_i = g_i / |g_i| and m = sum `mean`_i e_i. The d nearest to m with e_i.d >= gain b_i for all i,
    b_i = min s / s_i, is a quadratic programme in y, and its distance from m rises with `gain`.
    While the support of y stays the same, y is affine in `gain` and the square of the distance a
    quadratic, so the `gain` whose distance is the radius is found exactly.

    Args:
        cosines: C_ij = e_i.e_j.
        norms: s, at least one of them not zero; a task of zero norm is served by 0.
        mean: coefficients of m.
        c: positive.

    Raises:
        ArithmeticError: if it does not converge.
    """
    there = norms > 0
    demand = np.where(there, norms[there].min() / np.where(there, norms, 1.0), 0.0)
    slope = -(cosines @ mean)
    length = math.sqrt(max(-(mean @ slope), 0.0))
    ball = _Ball(cosines, slope, demand, c * length)
    safe = minimise(cosines, slope, slope > 0)  # no task is harmed
    if ball.distance(safe) > ball.radius:
        return ball.root(float((-slope[there] / demand[there]).min()), 0.0, safe)
    if not there.all():
        return safe
    best = ball.root(0.0, length + ball.radius, safe)
    return best if VANISHING * best.sum() < ball.radius else safe


@dataclass
class _Ball:
    cosines: np.ndarray
    slope: np.ndarray
    demand: np.ndarray
    radius: float

    def distance(self, point: np.ndarray) -> float:
        return math.sqrt(max(point @ self.cosines @ point, 0.0))

    def root(self, low: float, high: float, point: np.ndarray) -> np.ndarray:
        """The y whose distance is the radius, for a gain from low to high, from piece to piece."""
        inside = point if self.distance(point) <= self.radius else np.zeros_like(point)
        while high - low > ROUNDING * (self.radius + abs(low) + abs(high)):
            support = point > 0
            gain = self._gain(support)
            guessed = low < gain < high
            if not guessed:
                gain = (low + high) / 2
            slope = self.slope + gain * self.demand
            point = minimise(self.cosines, slope, support if guessed else slope > 0)
            if guessed and np.array_equal(point > 0, support):
                return point
            if self.distance(point) < self.radius:
                low, inside = gain, point
            else:
                high = gain
        return inside

    def _gain(self, support: np.ndarray) -> float:
        """The gain for which y, with this support and of any sign, has the radius; NaN if none."""
        if not support.any():
            return math.nan
        matrix = self.cosines[support][:, support]
        sides = np.stack([self.slope[support], self.demand[support]], axis=1)
        ridged = matrix + RIDGE * np.eye(len(matrix))
        parts = np.linalg.solve(ridged, sides)
        parts += np.linalg.solve(ridged, sides - matrix @ parts)
        fixed, rising = parts.T
        a, b = rising @ matrix @ rising, rising @ matrix @ fixed
        root = b * b - a * (fixed @ matrix @ fixed - self.radius**2)
        return (math.sqrt(root) - b) / a if root >= 0 and a > 0 else math.nan


@dataclass
class CAGrad:
    """Take the direction near the mean gradient whose least gain among the tasks is the largest.

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
