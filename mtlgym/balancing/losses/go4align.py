"""Group optimization for multi-task alignment."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from mtlgym.balancing.k_means import group_means
from mtlgym.balancing.limits import bounded, check_positive
from mtlgym.balancing.state import zero
from mtlgym.record import Record


@dataclass
class GO4Align:
    """Group the tasks by how they fare, and give each group one weight.

    p <- p exp(-step_size L), normalised to sum to 1; v_t = p_t sum(L) / L_t; k-means on the v_t,
    and w_t is the mean of v over the group of task t.

    Source: Shen, Wang, Xiao, Van Noord, Worring (NeurIPS 2024), https://arxiv.org/abs/2404.06486,
    and the authors' code, for the sign, `step_size` and the mean as the only group's weight.
    Differs from it in that the k-means is exact where theirs starts from random tasks and may
    end in a worse grouping, in that p is kept as logarithms, so that it never becomes 0 / 0,
    and in `groups`, which their code leaves to its user (1 in the script for NYUv2). Groupings
    that are equally good are told apart by value, never by a task's position.

    Attributes:
        step_size: of the exponentiated update of p, per unit of loss.
        groups: number of groups, 1 or more; as many as tasks gives each task its own.

    Raises:
        ValueError: if `step_size` is not positive or `groups` is below 1; in the call, if a loss is
            negative or not finite.
    """

    step_size: float = 1e-4
    groups: int = 2
    transform: ClassVar[str] = "none"
    needs_same_batch: ClassVar[bool] = False
    needs_epochs: ClassVar[bool] = False
    _log_shares: Tensor = field(default_factory=zero, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        check_positive("step_size", self.step_size)
        if self.groups < 1:
            raise ValueError(f"`groups` must be 1 or more, not {self.groups}")

    def __call__(self, record: Record) -> Float[Tensor, " tasks"]:
        """Return weights that are equal within a group."""
        losses = bounded(record.losses)
        shares = self._log_shares - self.step_size * losses
        self._log_shares = shares - shares.logsumexp(dim=0)
        total = math.fsum(losses.tolist())  # the same in any order of the tasks
        return group_means(self._log_shares.exp() * (total / losses), self.groups)
