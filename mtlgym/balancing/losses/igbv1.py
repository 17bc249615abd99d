"""Improvable gap balancing, version 1."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym.balancing.limits import bounded
from mtlgym.balancing.state import zero
from mtlgym.record import Record


@dataclass
class IGBv1:
    """Give larger weights to the tasks whose losses have fallen least since the base epoch.

    w = T softmax(L / L_base), on sum w_t log L_t, where L_base is the mean loss over every batch of
    epoch `base_epoch`; ones up to the end of that epoch.

    Source: Dai, Fei, Lu (UAI 2023), https://arxiv.org/abs/2307.15429, equation 3, Algorithm 1.

    Attributes:
        base_epoch: the epoch, counted from 1, that L_base is measured in.
        transform: "log" trains sum w_t log L_t, "none" sum w_t L_t.

    Raises:
        ValueError: if `base_epoch` is below 1; in the call, if a loss is negative or not finite,
            or if the base epoch is over and none of its batches was seen.
    """

    base_epoch: int = 2
    transform: str = "log"
    needs_same_batch: ClassVar[bool] = False
    needs_epochs: ClassVar[bool] = True
    # over the base epoch
    _sum: Tensor = field(default_factory=zero, init=False, repr=False, compare=False)
    _count: int = field(default_factory=int, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        if self.base_epoch < 1:
            raise ValueError(f"`base_epoch` must be 1 or more, not {self.base_epoch}")

    def __call__(self, record: Record) -> Float[Tensor, " tasks"]:
        """Return weights that sum to the number of tasks."""
        losses = bounded(record.losses)
        if record.epoch == self.base_epoch:
            self._sum, self._count = self._sum + losses, self._count + 1
        if record.epoch <= self.base_epoch:
            return torch.ones_like(losses)
        if not self._count:
            raise ValueError(
                f"`record.epoch` is {record.epoch}, but no batch of epoch {self.base_epoch}, "
                "where the base losses are measured, was seen"
            )
        base = self._sum / self._count
        return len(losses) * torch.softmax(losses / base, dim=0)
