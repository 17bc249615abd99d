"""Group optimization for multi-task alignment."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym.balancing.limits import bounded, check_positive
from mtlgym.balancing.state import zero
from mtlgym.record import Record


@dataclass
class GO4Align:
    """Group the tasks by the trend of their losses, and give each group one weight.

    p <- p exp(-step_size L), normalised to sum to 1; v_t = p_t sum(L) / L_t; k-means on the v_t,
    and w_t is the mean of v over the group of task t.

    Source: Shen, Wang, Xiao, Van Noord, Worring (NeurIPS 2024), https://arxiv.org/abs/2404.06486,
    and the authors' code, for the sign, `step_size` and the mean as the only group's weight.
    Differs from it in that the k-means is exact where theirs starts from random tasks and may
    end in a worse grouping, in that p is kept as logarithms, so that it never becomes 0 / 0,
    and in `groups`, which their code leaves to its user (1 in the script for NYUv2). Groupings
    that are equally good are distinguished by value, never by a task's position.

    Attributes:
        step_size: of the exponentiated update of p, per unit of loss.
        groups: number of groups, 1 or more; with as many groups as tasks, each task has its own.

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


def group_means(values: Float[Tensor, " n"], groups: int) -> Float[Tensor, " n"]:
    """k-means in one dimension, solved exactly, from each value to its group's mean.

    The groups are those of the split into `groups` with the least sum of squared errors.

    In one dimension the best groups are runs of the sorted values, so dynamic programming over
    the last cut finds them in O(groups n^2). Of two splits that are equally good, the one with the
    smaller group of low values is taken; rounding decides what is equal.

    Args:
        values: non-negative and not all zero.
        groups: 1 <= groups; n groups when there are fewer values.
    """
    order = torch.argsort(values)
    ranked = values[order].numpy()
    error = _errors(ranked / ranked[-1])
    best, cuts = error[0], []  # best[j]: error of the first j values in as many groups as so far
    for _ in range(min(groups, len(ranked)) - 1):
        total = best[:, None] + error
        cuts.append(total.argmin(axis=0))
        best = total.min(axis=0)
    means = np.empty_like(ranked)
    end = len(ranked)
    for cut in reversed(cuts):
        means[cut[end] : end] = ranked[cut[end] : end].mean()
        end = cut[end]
    means[:end] = ranked[:end].mean()
    return torch.empty_like(values).index_copy(0, order, torch.from_numpy(means))


def _errors(ranked: np.ndarray) -> np.ndarray:
    """Squared error of the group of values i to j - 1, infinite if empty: (n + 1, n + 1)."""
    centred = ranked - ranked.mean()
    sums = np.concatenate(([0.0], centred.cumsum()))
    squares = np.concatenate(([0.0], (centred**2).cumsum()))
    count = np.subtract.outer(np.arange(len(sums)), np.arange(len(sums))).T  # j - i
    error = (squares - squares[:, None]) - (sums - sums[:, None]) ** 2 / np.maximum(count, 1)
    return np.where(count > 0, np.maximum(error, 0.0), np.inf)
