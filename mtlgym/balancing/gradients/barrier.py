"""Newton's method for the equations of Nash-MTL and of FairGrad."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.linalg.lapack import dposv

from mtlgym.balancing.gradients.unit_gramian import RIDGE as LEAST

RIDGE = 1e-10  # added to C where no solution is known to exist
EXACT = 0.25  # a relative step this short has a solution at its end
ROUNDING = 1e-14
STEPS = 1000


def solve(
    cosines: Float[np.ndarray, "n n"], norms: Float[np.ndarray, " n"], power: float
) -> Float[np.ndarray, " n"]:
    """The w > 0 with (K w)_i = w_i^-power, K_ij = C_ij s_i s_j.

    Damped Newton on the convex w'Kw / 2 + sum w_i^(1 - power) / (power - 1), first with C + RIDGE I
    for C: that has a solution even if a positive combination of the gradients is zero. If the
    first step without the ridge is short, the solution without it is near and is returned instead.

    Args:
        cosines: C, positive semidefinite with ones on its diagonal.
        norms: s, positive.
        power: 1 for Nash-MTL, 1 / alpha for FairGrad.

    Raises:
        ArithmeticError: if it does not converge, or if the weights leave the range of float64.
    """
    mean = np.log(norms).mean()
    scales = np.exp((np.log(norms) - mean) * (power - 1) / (power + 1))  # of u, for C = I
    ridged = _Equation(cosines, scales, power, RIDGE)
    exact = replace(ridged, ridge=0.0)
    try:
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            point = ridged.solution(np.ones_like(norms))
            if np.abs(exact.step(point)[0] / point).max() < EXACT:
                point = exact.solution(point)
            # K has a factor e^(2 mean) that C s s' / e^(2 mean) has not; w is homogeneous in it
            return point * scales / norms * np.exp(mean * (power - 1) / (power + 1))
    except FloatingPointError as error:
        raise ArithmeticError("the weights leave the range of float64") from error


@dataclass
class _Equation:
    """(D C D + ridge D^2) x = D^2 x^-power, with x > 0 and D the diagonal matrix of the scales."""

    cosines: np.ndarray
    scales: np.ndarray
    power: float
    ridge: float

    def __post_init__(self) -> None:
        """Form D C D and D^2."""
        self.matrix = self.cosines * self.scales * self.scales[:, None]
        self.squares = self.scales**2

    def descent(self, point: np.ndarray) -> np.ndarray:
        """Right less left side: the direction of steepest descent.

        C, not D C D, is multiplied: where C is singular the two sides cancel to ridge D^2 x, far
        below the rounding of D C D, and the solution would depend on how exp and log round.
        """
        scaled = self.scales * point
        pull = self.scales * point**-self.power - self.ridge * scaled
        direction: np.ndarray = self.scales * (pull - self.cosines @ scaled)
        return direction

    def step(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Newton's step, and the direction of steepest descent."""
        curvature = self.power * point ** (-self.power - 1) + max(self.ridge, LEAST)
        hessian = self.matrix.copy()
        hessian.flat[:: len(point) + 1] += self.squares * curvature
        descent = self.descent(point)
        _, step, failed = dposv(hessian, descent, lower=1)
        if failed:
            raise FloatingPointError("the Hessian is not positive definite")
        return step, descent

    def solution(self, point: np.ndarray) -> np.ndarray:
        """Iterate from a point until the relative steps are zero, or rounding."""
        last = np.inf
        for _ in range(STEPS):
            step, descent = self.step(point)
            relative = step / point
            size = np.abs(relative).max()
            if size < 1e-10 or (size > last / 2 and self.solved(point, descent)):
                return point + step if size < 1e-3 else point
            fraction = 1.0
            if size > 0.3:
                fraction = min(1.0, 0.9 / max(-relative.min(), 0.9))
                # shorten a step at whose end it leads uphill, half as steeply as it led downhill
                while self.descent(point + fraction * step) @ step < -0.5 * (descent @ step):
                    fraction /= 2
            point = point + fraction * step
            last = size
        raise ArithmeticError(f"the balance of {len(point)} tasks did not converge")

    def solved(self, point: np.ndarray, descent: np.ndarray) -> bool:
        """Whether the direction of descent is rounding, relative to the terms of its sum."""
        terms = self.squares * point**-self.power + np.abs(self.matrix) @ point
        return bool((np.abs(descent) <= ROUNDING * terms).all())
