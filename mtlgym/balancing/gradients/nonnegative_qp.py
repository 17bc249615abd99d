"""The least of a convex quadratic over non-negative points, solved exactly."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg.lapack import dposv, dpotrs

from mtlgym.balancing.gradients.unit_gramian import RIDGE

RIDGES = (1e-7, 1e-10, RIDGE)  # the larger, the less rounding tells equal tasks apart
REFINEMENTS = 3
ROUNDING = 4e-15  # of a slope, relative to the sum of the magnitudes of its terms
WORST = 1e-9


def minimise(
    hessian: Float[np.ndarray, "n n"],
    slope: Float[np.ndarray, " n"],
    start: Bool[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """The y >= 0 that minimises y'Hy / 2 - slope'y, to rounding.

    The active-set method of Lawson and Hanson for H + ridge I, started from a guess of where y is
    positive. That problem has one solution, so tasks that are alike get values that are alike.
    Iterative refinement on its support removes the ridge; if the support is another without it,
    the ridge was too large, and a smaller one is tried.

    Source: Lawson, Hanson, Solving Least Squares Problems (1974), chapter 23.

    Args:
        hessian: with H + RIDGE I positive definite, and entries of order 1.
        slope: for which the minimum exists.
        start: where y is thought to be positive.

    Raises:
        ArithmeticError: if it does not converge.
    """
    best, least = np.zeros_like(slope), np.inf
    for ridge in RIDGES:
        problem = _Ridged(hessian, slope, ridge)
        point = problem.minimum(start)
        excess = slope - hessian @ point
        error = np.where(point > 0, np.abs(excess), excess).max() / problem.scale(point)
        if error < least:
            best, least, start = point, error, point > 0
        if error <= ROUNDING:
            break
    if least <= WORST:
        return best
    raise ArithmeticError(f"the quadratic programme of {len(slope)} tasks did not converge")


class _Ridged:
    """The problem with a positive definite matrix, and the current state of its solution."""

    def __init__(self, hessian: np.ndarray, slope: np.ndarray, ridge: float) -> None:
        self.hessian, self.slope = hessian, slope
        self.matrix = hessian.copy()
        self.matrix.flat[:: len(slope) + 1] += ridge
        self.steepest = max(np.abs(slope).max(), np.finfo(float).tiny)
        self.support = self.factor = np.empty(0, int)  # of the last system solved

    def scale(self, point: np.ndarray) -> float:
        """The sum of the magnitudes of a slope's terms at the point."""
        return float(self.steepest + point.sum())

    def minimum(self, start: np.ndarray) -> np.ndarray:
        """The minimum, refined on its support."""
        point = self.first(start)
        barred = np.zeros(len(point), bool)  # entries that would be zero again but for rounding
        for _ in range(20 * len(point) + 20):
            excess = self.slope - self.matrix @ point - ROUNDING * self.scale(point)
            excess[(point > 0) | barred] = 0.0
            entering = int(excess.argmax())
            if excess[entering] <= 0:
                break
            moved = self.entered(point, entering)
            barred[entering] = not moved[entering]
            if moved[entering]:
                barred[:] = False
                point = moved
        return self.refined(point)

    def solve(self, support: np.ndarray) -> np.ndarray:
        """The values of the stationary point with that support, an array of positions."""
        block = self.matrix.take(support, axis=0).take(support, axis=1)
        self.factor, values, failed = dposv(block, self.slope[support], lower=1)
        if failed:
            raise ArithmeticError("the quadratic programme's matrix is not positive semidefinite")
        self.support = support
        found: np.ndarray = values
        return found

    def first(self, start: np.ndarray) -> np.ndarray:
        """A point that is stationary where it is positive."""
        point = np.zeros(len(start))
        support = start.nonzero()[0]
        while len(support):
            values = self.solve(support)
            positive = values > 0
            if positive.all():
                point[support] = values
                break
            support = support[positive]
        return point

    def entered(self, point: np.ndarray, entering: int) -> np.ndarray:
        """The next stationary point downhill, with one more entry positive and maybe some fewer."""
        point = point.copy()
        inside = point > 0
        inside[entering] = True
        while True:
            support = inside.nonzero()[0]
            target = self.solve(support)
            low = target <= 0
            if not low.any():
                point[support] = target
                return point
            old = point[support]
            fraction = np.full(len(support), np.inf)
            fraction[low] = old[low] / (old[low] - target[low])
            first = int(fraction.argmin())
            point[support] = np.maximum(old + fraction[first] * (target - old), 0.0)
            point[support[first]] = 0.0
            inside[support[first]] = False

    def refined(self, point: np.ndarray) -> np.ndarray:
        """The point without the ridge's effect, as far as its support stays the same."""
        support = point.nonzero()[0]
        if not len(support):
            return point
        if not np.array_equal(support, self.support):
            self.solve(support)
        matrix = self.hessian.take(support, axis=0).take(support, axis=1)
        values, slope = point[support], self.slope[support]
        for _ in range(REFINEMENTS):
            better = values + dpotrs(self.factor, slope - matrix @ values, lower=1)[0]
            if better.min() <= 0:
                break
            values = better
        point = point.copy()
        point[support] = values
        return point
