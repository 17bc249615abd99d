"""Batches of domains, their scaling, and the options of such problems."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from mtlgym import checks
from mtlgym.models.vmtl_design import Design
from mtlgym.problems import builder_options
from mtlgym.problems.domains import DomainSplit, Labels, Measurement, attention
from mtlgym.problems.scaling import SCALES, scaling


def test_batches_have_all_classes_alike_and_every_sample_in_turn():
    labels = torch.tensor([0] * 2 + [1] * 5 + [2] * 3)
    split = DomainSplit([torch.zeros(10, 1)], [labels], 3)
    rng = np.random.default_rng(0)
    orders = [split.order(0, 6, rng) for _ in range(40)]
    assert all(len(order) == 12 for order in orders)
    for order in orders:
        for batch in order.reshape(2, 6):
            assert np.bincount(labels.numpy()[batch]).tolist() == [2, 2, 2]
        assert np.bincount(order, minlength=10)[:2].tolist() == [2, 2]  # 4 draws of 2 samples
        assert len(set(order[labels.numpy()[order] == 1])) == 4  # 4 draws of 5 samples
    assert len({tuple(order) for order in orders}) > 30


def test_a_batch_that_classes_do_not_divide_is_as_even_as_can_be():
    split = DomainSplit([torch.zeros(9, 1)], [torch.arange(9) // 3], 3)
    order = split.order(0, 4, np.random.default_rng(0))
    assert len(order) == 12
    counts = [np.bincount(batch // 3, minlength=3) for batch in order.reshape(3, 4)]
    assert all(count.max() - count.min() <= 2 for count in counts)
    assert np.sum(counts, axis=0).tolist() == [4, 4, 4]


def test_attention_is_what_a_loop_over_samples_makes():
    generator = torch.Generator().manual_seed(0)
    x = [torch.randn(5, 3, generator=generator) for _ in range(2)]
    labels = [torch.tensor([0, 0, 1, 1, 1]), torch.tensor([1, 0, 0, 0, 1])]
    found = attention(x, labels)
    for sample in range(5):
        same = x[1][labels[1] == labels[0][sample]]
        products = same @ x[0][sample]
        weights = (products / (products.max() - products.min() + 1e-9)).softmax(dim=0)
        assert_close(found[0][sample, 1], weights @ same)


@pytest.mark.parametrize("name", SCALES)
def test_scaling_is_fitted_to_the_training_samples_alone(name):
    rng = np.random.default_rng(0)
    training = [rng.normal(3, 2, (50, 4)).astype(np.float32) for _ in range(2)]
    other = rng.normal(0, 1, (7, 4)).astype(np.float32)
    scale = scaling(name, training)
    assert torch.equal(scale(other)[:3], scale(other[:3]))
    pooled = torch.cat([scale(x) for x in training])
    if name == "standard":
        assert_close(pooled.mean(dim=0), torch.zeros(4), rtol=0, atol=1e-5)
        assert_close(pooled.std(dim=0, correction=0), torch.ones(4))
    if name == "unit":
        assert_close(pooled.square().mean(dim=1), torch.ones(100))
    if name == "none":
        assert np.array_equal(scale(other).numpy(), other)


def test_a_feature_that_does_not_change_in_training_is_shifted_alone():
    training = [np.array([[1.0, 2.0], [3.0, 2.0]], np.float32)]
    scaled = scaling("standard", training)(np.array([[2.0, 2.5]], np.float32))
    assert_close(scaled, torch.tensor([[0.0, 0.5]]))


def test_features_too_large_to_be_squared_are_scaled_all_the_same():
    large = np.array([[3e30, -4e30]], np.float32)
    assert_close(scaling("unit", [large])(large), torch.tensor([[0.6, -0.8]]) * 2**0.5)


def test_a_feature_that_never_changes_and_a_sample_of_zeros_stay_finite():
    zeros = [np.zeros((3, 2), np.float32)]
    for name in SCALES:
        assert scaling(name, zeros)(zeros[0]).isfinite().all()


@pytest.mark.parametrize(
    ("part", "option", "value"),
    [
        (Labels, "fraction", 0.0),
        (Labels, "fraction", 1.0),
        (Labels, "validation", 1.0),
        (Labels, "split_seed", -1),
        (Labels, "scaling", "standrad"),
        (Design, "model", "vmtl_xy"),
        (Design, "prior", "gumble"),
        (Design, "encoder", "mpl"),
        (Labels, "related", "atention"),
        (Design, "latent", 0),
        (Design, "dropout", 1.0),
        (Measurement, "test_samples", -1),
        (Measurement, "attack", (-0.1,)),
        (Measurement, "attack", (1e39,)),
        (Measurement, "attack", (0.1, 0.1)),
    ],
)
def test_options_that_mean_nothing_are_refused(part, option, value):
    with pytest.raises(ValueError, match=option):
        part(**{option: value})


def test_the_fields_of_a_builders_parts_are_options():
    options = builder_options("office_caltech")
    assert {"data", "tasks", "fraction", "model", "kl_w_rate"} <= set(options)
    assert not {"labels", "design", "annealing", "measurement", "name"} & set(options)


def test_a_number_beyond_the_floats_is_refused_by_name():
    with pytest.raises(ValueError, match="`kl_w` must be a finite number"):
        checks.real("kl_w", 10**400, 0.0)
