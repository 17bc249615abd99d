"""Gradient normalisation."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym import checks
from mtlgym.balancing.adam import adam_step
from mtlgym.balancing.gradients.unit_gramian import unit_gramian
from mtlgym.balancing.limits import bounded, check_positive
from mtlgym.balancing.state import zero

LEAST = 1e-8  # of a weight, before they are made to sum to the number of tasks


@dataclass
class GradNorm:
    """Learn the weights so that slower tasks get longer weighted gradients.

    Objective: sum |w_i |g_i| - target_i|, target_i = mean(w |g|) r_i^alpha held constant,
    r_i = (L_i / L_i(0)) / mean(L / L(0)). After each step one Adam step on w, whose gradient is
    |g_i| sign(w_i |g_i| - target_i), and division so that sum w = tasks. w starts as ones.

    Source: Chen, Badrinarayanan, Lee, Rabinovich (ICML 2018), https://arxiv.org/abs/1711.02257,
    Algorithm 1. The weighted loss trains the heads too.
    Differs from it in that the gradients are those of all shared parameters, not of the last shared
    layer's, and that a weight is kept from falling below zero. Without losses r = 1.

    A zero gradient leaves its weight as it is; equal, all zero and opposing gradients, rank one
    and one task are no special cases.

    Attributes:
        alpha: strength of the pull towards equal training rates; 1.5 for NYUv2 in the paper.
        lr: of Adam on the weights.

    Raises:
        ValueError: for a setting out of range; in the call, for a Gramian that is not square or not
            finite, or a loss that is negative or not finite.
    """

    alpha: float = 1.5
    lr: float = 0.025
    needs_jacobian: ClassVar[bool] = False
    transform: ClassVar[str] = "none"
    head_weighting: ClassVar[str] = "weighted"
    # less 1, so that zeros are the start for any number of tasks
    _excess: Tensor = field(default_factory=zero, init=False, repr=False, compare=False)
    _moments: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    # of the first call with losses, one for each task; until then of no shape
    _first: Tensor = field(default_factory=zero, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        checks.real("alpha", self.alpha, 0.0)
        check_positive("lr", self.lr)

    def __call__(
        self, gramian: Float[Tensor, "tasks tasks"], losses: Float[Tensor, " tasks"] | None = None
    ) -> Float[Tensor, " tasks"]:
        """Return positive weights that sum to the number of tasks: those before this step."""
        norms = torch.from_numpy(unit_gramian(gramian)[1])
        weights = 1.0 + self._excess.expand_as(norms)
        lengths = weights * norms
        target = lengths.mean() * self._rates(norms, losses) ** self.alpha
        learned, self._moments = adam_step(
            weights, norms * torch.sign(lengths - target), self._moments, self.lr
        )
        learned = learned.clamp(min=LEAST)
        self._excess = learned * (len(norms) / learned.sum()) - 1.0
        return weights

    def _rates(self, norms: Tensor, losses: Tensor | None) -> Tensor:
        """The relative inverse training rates r, of mean 1."""
        if losses is None:
            return torch.ones_like(norms)
        losses = bounded(losses)
        if not self._first.ndim:
            self._first = losses
        ratios = losses / self._first
        return ratios / ratios.mean()
