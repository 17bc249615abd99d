"""Gradient sign dropout."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym import checks
from mtlgym.balancing.gradients.unit_gramian import check_jacobian


@dataclass
class GradDrop:
    """Pick one sign for each parameter at random, and drop the gradients of the other sign.

    The positive sign is picked with probability P = (1 + sum g / sum |g|) / 2, so the expected
    direction is the sum of the gradients.

    Source: Chen, Ngiam, Huang, Luong, Kretzschmar, Chai, Anguelov (NeurIPS 2020),
    https://arxiv.org/abs/2010.06808, Algorithm 1. Heads are trained with unit weights.
    Differs from it in that the gradients are those of the parameters, not of the activations at a
    layer, and in that one `leak` serves all tasks.

    Draw k comes from a torch.Generator on the Jacobian's device, seeded by (`seed`, k): its state
    is one number, and another kind of device draws other signs. Permuting the tasks changes
    nothing.

    A zero gradient adds nothing. Equal gradients, rank one of one sign, one task: the sum. Opposing
    gradients: in each parameter one of the two. All zero: zero.

    Attributes:
        seed: of the draws, a non-negative integer.
        leak: share of the gradients that passes whatever its sign, from 0 to 1.

    Raises:
        ValueError: for a setting out of range; in the call, for a Jacobian that is not finite.
    """

    seed: int = 0
    leak: float = 0.0
    needs_jacobian: ClassVar[bool] = True
    transform: ClassVar[str] = "none"
    head_weighting: ClassVar[str] = "unit"
    _draws: int = field(default_factory=int, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        checks.integer("seed", self.seed, 0)
        checks.real("leak", self.leak, 0.0)
        if self.leak > 1:
            raise ValueError(f"`leak` must be a share of at most 1, not {self.leak}")

    def __call__(
        self,
        jacobian: Float[Tensor, "tasks parameters"],
        losses: Float[Tensor, " tasks"] | None = None,
    ) -> Float[Tensor, " parameters"]:
        """Return the direction: of each parameter's gradients the sum of those of one sign."""
        check_jacobian(jacobian)
        positive = jacobian.clamp(min=0).sum(dim=0)
        negative = jacobian.clamp(max=0).sum(dim=0)
        source = torch.Generator(jacobian.device)
        seeds = np.random.SeedSequence([self.seed, self._draws])
        source.manual_seed(int(seeds.generate_state(1, np.uint64)[0] >> 1))
        self._draws += 1
        draws = torch.rand(positive.shape, generator=source, device=jacobian.device)
        # P > draw, multiplied by sum |g|, which may be zero
        picked = torch.where(positive > draws * (positive - negative), positive, negative)
        return (self.leak * (positive + negative) + (1 - self.leak) * picked).to(jacobian.dtype)
