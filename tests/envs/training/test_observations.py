import math

import numpy as np
import pytest
import torch

from mtlgym.envs.training.observations import FEATURES, LARGEST, Observer
from mtlgym.record import Record

RECORD = Record(
    losses=torch.tensor([1.0, 4.0]),
    base_losses=torch.tensor([2.0, 2.0]),
    weights=torch.tensor([0.5, 1.5]),
    since_chosen=torch.tensor([0, 7]),
    progress=0.25,
    lr=0.5,
    first_lr=2.0,
)
EXPECTED = {
    "log_losses": [0.0, math.log(4.0)],
    "losses": [1.0, 4.0],
    "lr": [0.25, 0.25],
    "progress": [0.25, 0.25],
    "relative_losses": [0.5, 2.0],
    "since_chosen": [0.0, 7.0],
    "weights": [0.5, 1.5],
}
EMPTY = Record(losses=torch.tensor([0.0, 3.0]))
EMPTY_EXPECTED = {
    "log_losses": [math.log(torch.finfo(torch.float32).tiny), math.log(3.0)],
    "losses": [0.0, 3.0],
    "lr": [1.0, 1.0],
    "progress": [0.0, 0.0],
    "relative_losses": [1.0, 1.0],
    "since_chosen": [0.0, 0.0],
    "weights": [0.0, 0.0],
}


@pytest.mark.parametrize("name", FEATURES)
def test_feature_is_what_its_name_says(name):
    for record, expected in ((RECORD, EXPECTED), (EMPTY, EMPTY_EXPECTED)):
        observation = Observer([name], 2).observe(record)
        assert observation.dtype == np.float32
        np.testing.assert_allclose(observation, expected[name], rtol=1e-6)


@pytest.mark.parametrize("name", FEATURES)
def test_features_go_with_their_tasks(name):
    swapped = Record(
        losses=RECORD.losses.flip(0),
        base_losses=torch.tensor([2.0, 2.0]),
        weights=torch.tensor([1.5, 0.5]),
        since_chosen=torch.tensor([7, 0]),
        progress=0.25,
        lr=0.5,
        first_lr=2.0,
    )
    observer = Observer([name], 2)
    np.testing.assert_array_equal(observer.observe(swapped), observer.observe(RECORD)[::-1])


def test_features_stand_one_after_the_other():
    observation = Observer(["losses", "progress"], 2).observe(RECORD)
    assert observation.tolist() == [1.0, 4.0, 0.25, 0.25]


def test_what_float32_cannot_hold_is_put_on_the_bound():
    record = Record(losses=torch.tensor([1e300, 1.0], dtype=torch.float64))
    observer = Observer(["losses"], 2)
    observation = observer.observe(record)
    assert observation[0] == np.float32(LARGEST)
    assert observation in observer.space
