import math

import pytest
import torch

from mtlgym.envs.training.rewards import REWARDS
from mtlgym.record import Record

BASE = torch.tensor([2.0, 4.0])
BEFORE = Record(losses=torch.tensor([1.0, 2.0]), base_losses=BASE, lr=0.5, first_lr=1.0)
AFTER = Record(
    losses=torch.tensor([0.5, 2.4]),
    trained=torch.tensor([1.0, 2.0]),
    retrained=torch.tensor([0.8, 1.6]),
)

# By hand: declines (0.25, -0.1) in units of L_base; alpha = 1 / 0.5.
EXPECTED = {
    "improvement": (1 - math.exp(-0.5)) / 2,
    "mean_loss_decline": 2 * 0.075,
    "min_loss_decline": 2 * -0.1,
    "plain_min_loss_decline": -0.1,
    "prediction_gain": 0.3,
}


@pytest.mark.parametrize("name", REWARDS)
def test_reward_is_the_paper_s(name):
    assert REWARDS[name](BEFORE, AFTER) == pytest.approx(EXPECTED[name])


@pytest.mark.parametrize("name", [name for name in REWARDS if name.endswith("decline")])
def test_decline_is_zero_until_the_base_losses_are_known(name):
    assert REWARDS[name](Record(losses=torch.tensor([1.0, 2.0])), AFTER) == 0.0


@pytest.mark.parametrize(
    ("previous", "expected"), [(None, 0.0), (0.9, 0.0), (1.0, 0.0), (1.5, 1 - math.exp(-1.0))]
)
def test_improvement_pays_a_task_whose_loss_fell_since_its_last_visit(previous, expected):
    after = Record(losses=torch.tensor([1.0, 9.0]), task=0, previous=previous)
    assert REWARDS["improvement"](BEFORE, after) == pytest.approx(expected)


def test_rewards_are_python_floats():
    assert all(type(reward(BEFORE, AFTER)) is float for reward in REWARDS.values())
