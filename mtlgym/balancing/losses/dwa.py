"""Dynamic weight average."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym.balancing.limits import bounded, check_positive
from mtlgym.balancing.state import zero
from mtlgym.record import Record


@dataclass
class DWA:
    """Give larger weights to the tasks whose losses fall slowest.

    w = T softmax(r / temperature), r_t = mean L_t of epoch k - 1 / mean L_t of epoch k - 2, and
    ones in the first two epochs.

    Source: Liu, Johns, Davison (CVPR 2019), https://arxiv.org/abs/1803.10704, equation 7.
    Differs from it in that `window` n > 0 takes the means of the last n batches, the pending one
    included, and of the n before, as Navon et al. (ICML 2022) do with n = 25; the weights are
    ones until 2 n batches are known, where their window starts filled with ones.

    Attributes:
        temperature: of the softmax; larger is closer to equal weights.
        window: batches in each mean; 0 means epochs.
        transform: "none" trains sum w_t L_t, "log" sum w_t log L_t.

    Raises:
        ValueError: if `temperature` is not positive or `window` is negative; in the call, if a
            loss is negative or not finite.
    """

    temperature: float = 2.0
    window: int = 0
    transform: str = "none"
    needs_same_batch: ClassVar[bool] = False
    # the last 2 windows, oldest first
    _recent: list[Tensor] = field(default_factory=list, init=False, repr=False, compare=False)
    # of the last two whole epochs
    _means: list[Tensor] = field(default_factory=list, init=False, repr=False, compare=False)
    # over this epoch
    _sum: Tensor = field(default_factory=zero, init=False, repr=False, compare=False)
    _count: int = field(default_factory=int, init=False, repr=False, compare=False)
    _epoch: int = field(default_factory=int, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        check_positive("temperature", self.temperature)
        if self.window < 0:
            raise ValueError(f"`window` must be a number of batches, or 0, not {self.window}")

    @property
    def needs_epochs(self) -> bool:
        """Whether it reads `record.epoch`."""
        return self.window == 0

    def __call__(self, record: Record) -> Float[Tensor, " tasks"]:
        """Return weights that sum to the number of tasks."""
        losses = bounded(record.losses)
        if self.window:
            self._recent = [*self._recent, losses][-2 * self.window :]
            known = len(self._recent) == 2 * self.window
            means = [torch.stack(part).mean(dim=0) for part in self._halves()] if known else []
        else:
            self._count_epoch(losses, record.epoch)
            means = self._means
        if len(means) < 2:
            return torch.ones_like(losses)
        before, now = means
        return len(losses) * torch.softmax(now / before / self.temperature, dim=0)

    def _halves(self) -> tuple[list[Tensor], list[Tensor]]:
        return self._recent[: self.window], self._recent[self.window :]

    def _count_epoch(self, losses: Tensor, epoch: int) -> None:
        if self._count and epoch != self._epoch:
            self._means = [*self._means[-1:], self._sum / self._count]
            self._sum, self._count = torch.zeros_like(losses), 0
        self._sum, self._count, self._epoch = self._sum + losses, self._count + 1, epoch
