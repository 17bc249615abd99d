"""Multiple-gradient descent."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym import checks
from mtlgym.balancing.gradients.nonnegative_qp import minimise
from mtlgym.balancing.gradients.unit_gramian import unit_gramian


@dataclass
class MGDA:
    """Take the shortest vector in the convex hull of the tasks' gradients.

    w = argmin |G^T w|^2 over w >= 0, sum w = 1. It never conflicts: K w >= |G^T w|^2 >= 0.

    Source: Désidéri (2012), https://doi.org/10.1016/j.crma.2012.03.014; Sener, Koltun (NeurIPS
    2018), https://arxiv.org/abs/1810.04650, equation 3, without their normalisation of the
    gradients. Their code weights the heads by w too.
    Differs from it in that the minimum is exact, where their Frank-Wolfe iteration stops early.

    With b_i = min s / s_i and C the cosines, y = argmin y'(C + b b')y / 2 - b'y over y >= 0 is
    proportional to w_i s_i, whether or not the hull holds zero: |Cy| and 1 - b'y are the two
    parts of one least-squares residual.

    A zero gradient is the answer, with all the weight, shared by the tasks that have one. Equal
    gradients share their weight. Rank one, of one sign: the shortest gradient. Opposing gradients:
    the weights, inverse to the norms, that make the direction zero. One task: 1.

    Attributes:
        times_tasks: multiply by the number of tasks, as the code of Navon et al. (ICML 2022) and
            of Dai, Fei, Lu (UAI 2023).

    Raises:
        ValueError: if `times_tasks` is not True or False; in the call, for a Gramian that is not
            square or not finite.
    """

    times_tasks: bool = False
    needs_jacobian: ClassVar[bool] = False
    transform: ClassVar[str] = "none"
    head_weighting: ClassVar[str] = "weighted"

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        checks.flag("times_tasks", self.times_tasks)

    def __call__(
        self, gramian: Float[Tensor, "tasks tasks"], losses: Float[Tensor, " tasks"] | None = None
    ) -> Float[Tensor, " tasks"]:
        """Return non-negative weights that sum to 1, or to the number of tasks."""
        cosines, norms = unit_gramian(gramian)
        if norms.min() > 0:
            relative = norms.min() / norms
            hessian = cosines + relative * relative[:, None]
            weights = relative * minimise(hessian, relative, relative > 0)
        else:
            weights = (norms == 0).astype(float)
        weights = weights / weights.sum()
        return torch.from_numpy(weights * len(norms) if self.times_tasks else weights)
