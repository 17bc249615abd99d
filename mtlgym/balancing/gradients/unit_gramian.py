"""The Gramian as the cosines between the tasks' gradients and the gradients' norms."""

import numpy as np
import torch
from jaxtyping import Float
from scipy.linalg.lapack import dpotrf
from torch import Tensor

RIDGE = 1e-13  # makes a positive semidefinite matrix of cosines definite in spite of rounding
DEPENDENT = (
    1e-14  # an eigenvalue of C that small, relative to the sum of all, is zero but for rounding
)
ZERO = 2.0**-1000  # a squared norm below it is a zero gradient's: its products have underflowed


def unit_gramian(
    gramian: Float[Tensor, "..."],
) -> tuple[Float[np.ndarray, "tasks tasks"], Float[np.ndarray, " tasks"]]:
    """Split K_ij = C_ij s_i s_j into cosines C, positive semidefinite, and norms s, in float64.

    In the coordinates u_i = w_i s_i every method's problem has the coefficients C, of order 1,
    whatever the gradients' scales. A zero gradient counts as orthogonal to all others.

    Args:
        gramian: K, (tasks, tasks), of any float type, on any device.

    Returns:
        C, with C + RIDGE I positive definite in float64, and s.

    Raises:
        ValueError: if the Gramian is not square, not finite, or has a negative squared norm.
    """
    values = gramian.detach().to("cpu", torch.float64).numpy()
    _check(values)
    squares = values.diagonal()
    norms = np.sqrt(np.where(squares < ZERO, 0.0, squares))
    inverse = inverses(norms)
    cosines = values * inverse * inverse[:, None]
    np.fill_diagonal(cosines, 1.0)
    ridged = cosines.copy()
    ridged.flat[:: len(norms) + 1] += RIDGE
    if dpotrf(ridged)[1]:  # rounded, perhaps in a smaller type, to an indefinite matrix
        values, vectors = np.linalg.eigh(cosines)
        cosines = (vectors * values.clip(0.0)) @ vectors.T
    return cosines, norms


def inverses(norms: Float[np.ndarray, " tasks"]) -> Float[np.ndarray, " tasks"]:
    """1 / s, and 0 for a zero gradient."""
    return 1.0 / np.where(norms > 0, norms, np.inf)


def check_jacobian(jacobian: Float[Tensor, "tasks parameters"]) -> None:
    """Refuse gradients that are not finite.

    Raises:
        ValueError: names the first such task.
    """
    bad = ~torch.isfinite(jacobian).all(dim=1)
    if bad.any():
        raise ValueError(f"`jacobian[{int(bad.nonzero()[0])}]` must be finite, not inf or nan")


def _check(values: np.ndarray) -> None:
    if values.ndim != 2 or values.shape[0] != values.shape[1] or not len(values):
        raise ValueError(f"`gramian` must be of shape (tasks, tasks), not {values.shape}")
    if not np.isfinite(values).all():
        i, j = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(f"`gramian[{i}, {j}]` must be finite, not {values[i, j]}")
    if values.diagonal().min() < 0:
        task = int(values.diagonal().argmin())
        raise ValueError(
            f"`gramian[{task}, {task}]` must be a squared norm, not {values[task, task]}"
        )
