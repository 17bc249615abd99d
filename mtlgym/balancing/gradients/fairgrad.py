"""Fair resource allocation."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym import checks
from mtlgym.balancing.gradients.barrier import solve
from mtlgym.balancing.gradients.unit_gramian import unit_gramian


@dataclass
class FairGrad:
    """Take the direction that is alpha-fair to the tasks.

    (K w)_i = w_i^(-1 / alpha), w > 0; every task's loss falls, the less so the larger its weight.
    alpha = 1 is Nash-MTL; towards 0 it is equal weights, towards infinity the worst task's gain.

    Source: Ban, Ji (ICML 2024), https://arxiv.org/abs/2402.15638, equation 4. Their code trains
    heads with unit weights.
    Differs from it in that the equation is solved, to rounding, by Newton's method where their code
    stops a least-squares search, and in that the norm is not clipped here, where their code clips
    the shared gradient's to 1.

    A zero gradient takes no part: weight 0; all zero: zeros. Equal gradients get equal weights. If
    a positive combination of gradients is zero, as of opposing ones, no solution exists: the
    weights are those of the cosines C + 1e-10 I. One task: |g|^(-2 alpha / (1 + alpha)).

    Attributes:
        alpha: above 0; 2 as in the authors' run on QM9, while 1, their default, is Nash-MTL.
        times_tasks: multiply by the number of tasks, as the authors' code.

    Raises:
        ValueError: for a setting out of range; in the call, for a Gramian that is not square or not
            finite.
        ArithmeticError: if the weights leave float64's range: for an alpha far above 1 and
            gradients whose norms are far apart.
    """

    alpha: float = 2.0
    times_tasks: bool = False
    needs_jacobian: ClassVar[bool] = False
    transform: ClassVar[str] = "none"
    head_weighting: ClassVar[str] = "unit"

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        checks.real("alpha", self.alpha, 0.0, open_end=True)
        checks.flag("times_tasks", self.times_tasks)

    def __call__(
        self, gramian: Float[Tensor, "tasks tasks"], losses: Float[Tensor, " tasks"] | None = None
    ) -> Float[Tensor, " tasks"]:
        """Return positive weights, 0 for a zero gradient."""
        cosines, norms = unit_gramian(gramian)
        weights = torch.zeros(len(norms), dtype=torch.float64)
        there = norms > 0
        if there.any():
            found = solve(cosines[there][:, there], norms[there], 1.0 / self.alpha)
            weights[torch.from_numpy(there)] = torch.from_numpy(found)
        return len(norms) * weights if self.times_tasks else weights
