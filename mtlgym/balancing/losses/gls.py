"""The geometric loss strategy."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym.balancing.limits import bounded
from mtlgym.record import Record


@dataclass
class GLS:
    """Train on the geometric mean of the losses.

    Objective: G = (prod L_t)^(1 / T), whose gradient in L_t is w_t = G / (T L_t).

    Source: Chennupati, Sistu, Yogamani, Rawashdeh (CVPR Workshops 2019),
    https://arxiv.org/abs/1904.08492, equation 3 without focused tasks.

    Raises:
        ValueError: in the call, if a loss is negative or not finite.
    """

    transform: ClassVar[str] = "none"
    needs_same_batch: ClassVar[bool] = False
    needs_epochs: ClassVar[bool] = False

    def __call__(self, record: Record) -> Float[Tensor, " tasks"]:
        """Return the geometric mean's gradient in the losses."""
        logs = bounded(record.losses).log()
        return torch.exp(logs.mean() - logs) / len(logs)
