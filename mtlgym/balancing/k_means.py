"""k-means in one dimension, solved exactly: no start, no chance."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def group_means(values: Float[Tensor, " n"], groups: int) -> Float[Tensor, " n"]:
    """Each value's group mean in the split into `groups` with the least sum of squared errors.

    In one dimension the best groups are runs of the sorted values, so dynamic programming over
    the last cut finds them in O(groups n^2). Of two splits that are equally good, the one with the
    smaller group of low values is taken; rounding decides what is equal.

    Args:
        values: non-negative and not all zero.
        groups: 1 <= groups; n are made when there are fewer values.
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
