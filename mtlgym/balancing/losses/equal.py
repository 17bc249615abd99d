"""Equal weighting: the sum of the losses."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym.record import Record


@dataclass
class Equal:
    """Train on the plain sum of the losses.

    w_t = 1.

    Source: the baseline of every comparison, called EW or linear scalarization; Kurin et al.
    (NeurIPS 2022), https://arxiv.org/abs/2201.04122, show how strong it is.

    Attributes:
        transform: "none" trains sum L_t, "log" sum log L_t.
    """

    transform: str = "none"
    needs_same_batch: ClassVar[bool] = False
    needs_epochs: ClassVar[bool] = False

    def __call__(self, record: Record) -> Float[Tensor, " tasks"]:
        """Return ones."""
        return torch.ones(len(record.losses), dtype=torch.float64)
