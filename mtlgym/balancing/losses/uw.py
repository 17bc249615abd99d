"""Uncertainty weighting."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym.balancing.adam import adam_step
from mtlgym.balancing.limits import bounded, check_positive
from mtlgym.balancing.state import zero
from mtlgym.record import Record


@dataclass
class UW:
    """Learn each task's noise, and give smaller weights to noisier tasks.

    Objective: sum exp(-s_t) L_t / 2 + s_t / 2, in the model and in s, the log variances, together.
    So w_t = exp(-s_t) / 2, and then one Adam step on s, whose gradient is (1 - exp(-s_t) L_t) / 2.

    Source: Kendall, Gal, Cipolla (CVPR 2018), https://arxiv.org/abs/1705.07115, equation 7.
    Differs from it in that classification tasks have the factor 1/2 too, and that s has a learning
    rate of its own, as in the code of Navon et al. (ICML 2022).

    It cannot be combined with the log transform: Dai, Fei, Lu (UAI 2023, table 4) report that
    UW + SI does not work.

    Attributes:
        lr: of Adam on s, in nats a step.

    Raises:
        ValueError: if `lr` is not positive; in the call, if a loss is negative or not finite.
    """

    lr: float = 0.025
    transform: ClassVar[str] = "none"
    needs_same_batch: ClassVar[bool] = False
    needs_epochs: ClassVar[bool] = False
    _log_variances: Tensor = field(default_factory=zero, init=False, repr=False, compare=False)
    _moments: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        check_positive("lr", self.lr)

    def __call__(self, record: Record) -> Float[Tensor, " tasks"]:
        """Return exp(-s) / 2 of the s before this step's update."""
        losses = bounded(record.losses)
        precisions = torch.exp(-self._log_variances).expand_as(losses)
        self._log_variances, self._moments = adam_step(
            self._log_variances.expand_as(losses),
            (1 - precisions * losses) / 2,
            self._moments,
            self.lr,
        )
        return precisions / 2
