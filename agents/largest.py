"""Which of several independent variables is the largest, and how likely."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

# Quantiles of every variable that the integral is cut at: evenly, and ever finer to both ends.
_TAIL = np.geomspace(1e-10, 1e-3, 60)
_CUTS = np.concatenate([_TAIL, np.linspace(1e-3, 1 - 1e-3, 800)[1:-1], 1 - _TAIL[::-1]])


def probabilities_of_largest(
    centres: NDArray[np.float64], spreads: NDArray[np.float64], freedoms: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How likely each of independent variables centre + spread t is the largest, to about 1e-6.

    P_k = integral of prod_{j != k} F_j dF_k, with the distribution functions F of Student's t, by
    the trapezoidal rule between the quantiles of all variables.

    Args:
        centres: (variables,).
        spreads: above 0; (variables,).
        freedoms: degrees of freedom of t, above 0; (variables,).

    Returns:
        Probabilities that sum to 1; (variables,).
    """
    centre, spread, freedom = centres[:, None], spreads[:, None], freedoms[:, None]
    points = np.sort((centre + spread * stdtrit(freedom, _CUTS)).ravel())
    below = stdtr(freedom, (points - centre) / spread)  # F_j, (variables, points)
    ones = np.ones((1, len(points)))
    before = np.cumprod(np.concatenate([ones, below[:-1]]), axis=0)
    after = np.cumprod(np.concatenate([ones, below[:0:-1]]), axis=0)[::-1]
    others = before * after
    heights = (others[:, 1:] + others[:, :-1]) / 2
    found = (heights * np.diff(below, axis=1)).sum(axis=1) + others[:, -1] * (1 - below[:, -1])
    return found / found.sum()
