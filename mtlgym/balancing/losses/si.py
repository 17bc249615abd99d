"""The scale-invariant objective: the sum of the losses' logarithms."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym.record import Record


@dataclass
class SI:
    """Train on sum log L_t, which no task's unit of loss can dominate.

    w_t = 1 under the log transform, so task t's gradient is divided by L_t.

    Source: Navon et al. (ICML 2022), https://arxiv.org/abs/2202.01017; equation 2 of Dai, Fei, Lu
    (UAI 2023), https://arxiv.org/abs/2307.15429, with all weights 1.
    """

    transform: ClassVar[str] = "log"
    needs_same_batch: ClassVar[bool] = False
    needs_epochs: ClassVar[bool] = False

    def __call__(self, record: Record) -> Float[Tensor, " tasks"]:
        """Return ones."""
        return torch.ones(len(record.losses), dtype=torch.float64)
