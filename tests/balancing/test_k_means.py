import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from mtlgym.balancing.losses.go4align import group_means


def best_split(values: list[float], groups: int) -> float:
    """The least sum of squared errors over every assignment of the values to the groups."""
    best = math.inf
    for code in range(groups ** len(values)):
        members: list[list[float]] = [[] for _ in range(groups)]
        for i, value in enumerate(values):
            members[code // groups**i % groups].append(value)
        best = min(best, sum(float(np.var(m)) * len(m) for m in members if m))
    return best


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("seed", range(10))
def test_group_means_are_the_best_of_all_groupings(groups, seed):
    values = np.random.default_rng(seed).exponential(size=6)
    means = group_means(torch.from_numpy(values), groups)
    assert len(means.unique()) == groups
    assert_close(means.sum().item(), float(values.sum()))
    error = float(((torch.from_numpy(values) - means) ** 2).sum())
    assert_close(error, best_split(values.tolist(), groups), rtol=1e-9, atol=1e-12)


def test_more_groups_than_values_leave_them_as_they_are():
    values = torch.tensor([3.0, 1.0, 2.0], dtype=torch.float64)
    assert torch.equal(group_means(values, 5), values)


def test_of_equally_good_groupings_the_one_with_the_smaller_low_group_is_taken():
    values = torch.tensor([2.0, 0.0, 1.0], dtype=torch.float64)
    assert_close(group_means(values, 2), torch.tensor([1.5, 0.0, 1.5]).double())
