"""Dual-balancing multi-task learning."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym import checks
from mtlgym.balancing.gradients.unit_gramian import check_jacobian
from mtlgym.balancing.state import zero


@dataclass
class DBMTL:
    """Make the smoothed gradients of the log losses equally long, then add them up.

    m <- b_k m + (1 - b_k) G, b_k = beta / k^sigma in call k, m starts at zero;
    d = max |m| sum m_i / |m_i|.

    Source: Lin, Jiang, Ye, Zhang, Chen, Chen, Liu, Kwok (2023), https://arxiv.org/abs/2308.12029,
    Algorithm 1; `beta` and `sigma` by default as in LibMTL, whose authors they are. Heads are
    trained with unit weights on the log losses.
    Differs from it in that nothing is added to the norms, so that the direction is exact at any
    scale.

    The smoothed gradients are as large as the Jacobian and stay on its device between the calls;
    with `beta` 0 none are kept.

    A smoothed gradient of zero adds nothing; all zero: zero. Equal gradients, rank one of one sign:
    the tasks' number times the largest; opposing ones: zero. One task: its smoothed gradient.

    Attributes:
        beta: share of the past in the smoothed gradients, from 0 to below 1.
        sigma: power by which that share falls with the calls; 0 keeps it constant.

    Raises:
        ValueError: for a setting out of range; in the call, for a Jacobian that is not finite, or
            of another shape than before.
    """

    beta: float = 0.9
    sigma: float = 0.0
    needs_jacobian: ClassVar[bool] = True
    transform: ClassVar[str] = "log"
    head_weighting: ClassVar[str] = "unit"
    _mean: Tensor = field(default_factory=zero, init=False, repr=False, compare=False)
    _calls: int = field(default_factory=int, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        checks.real("beta", self.beta, 0.0)
        checks.real("sigma", self.sigma, 0.0)
        if self.beta >= 1:
            raise ValueError(f"`beta` must be a share below 1, not {self.beta}")

    def __call__(
        self,
        jacobian: Float[Tensor, "tasks parameters"],
        losses: Float[Tensor, " tasks"] | None = None,
    ) -> Float[Tensor, " parameters"]:
        """Return the direction: the sum of the gradients once they are equally long."""
        check_jacobian(jacobian)
        mean = self._smoothed(jacobian) if self.beta else jacobian
        norms = torch.linalg.vector_norm(mean, dim=1, dtype=torch.float64)
        factors = torch.where(norms > 0, norms.max() / norms, 0.0)
        return factors.clamp(max=torch.finfo(mean.dtype).max).to(mean) @ mean

    def _smoothed(self, jacobian: Tensor) -> Tensor:
        past = self._mean.to(jacobian)
        if past.ndim and past.shape != jacobian.shape:
            raise ValueError(
                f"`jacobian` must be of the shape {tuple(past.shape)} as before, "
                f"not {tuple(jacobian.shape)}"
            )
        share = self.beta / (self._calls + 1) ** self.sigma
        self._mean, self._calls = jacobian + share * (past - jacobian), self._calls + 1
        return self._mean
