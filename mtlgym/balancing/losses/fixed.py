"""Fixed weights, chosen before the training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym.record import Record


@dataclass
class Fixed:
    """Train on the same weighted sum of the losses throughout.

    w_t = weights[t], used as given.

    Source: Xin et al. (NeurIPS 2022), https://arxiv.org/abs/2209.11379, and Kurin et al. (NeurIPS
    2022), https://arxiv.org/abs/2201.04122: well-tuned fixed weights match most methods.

    Attributes:
        weights: one for each task, finite, not negative, not all zero; without a unit.
        transform: "none" trains sum w_t L_t, "log" sum w_t log L_t.

    Raises:
        ValueError: if `weights` is missing, negative, not finite or all zero; in the call, if it
            is not one for each task.
    """

    weights: Sequence[float | int] = ()
    transform: str = "none"
    needs_same_batch: ClassVar[bool] = False
    needs_epochs: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse weights that are none."""
        if not len(self.weights):
            raise ValueError("`weights` must be given, one number for each task")
        weights = torch.tensor(self.weights, dtype=torch.float64)
        if not torch.isfinite(weights).all() or (weights < 0).any() or not weights.any():
            raise ValueError(
                f"`weights` must be finite, not negative and not all zero, not {list(self.weights)}"
            )

    def __call__(self, record: Record) -> Float[Tensor, " tasks"]:
        """Return the fixed weights."""
        if len(self.weights) != len(record.losses):
            raise ValueError(
                f"`weights` must be one for each of the {len(record.losses)} tasks, "
                f"not {list(self.weights)}"
            )
        return torch.tensor(self.weights, dtype=torch.float64)
