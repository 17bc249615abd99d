import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mtlgym.balancing import GRADIENT_METHODS, load_state_dict, state_dict
from mtlgym.balancing.aggregate import aggregate
from mtlgym.balancing.gradients import GradientMethod
from tests.balancing.gradient_cases import (
    FROM_GRAMIAN,
    JACOBIAN,
    LOSSES,
    call,
    gradients_of,
    jacobian,
    run,
)

# the paper's code weighs the heads too
WEIGHTED_HEADS = {"gradnorm", "imtl_g", "mgda", "nash"}


@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_every_gradient_method_meets_the_protocol(name):
    method = GRADIENT_METHODS[name]()
    assert isinstance(method, GradientMethod)
    assert method.transform == ("log" if name == "db_mtl" else "none")
    assert method.needs_jacobian == (name in ("db_mtl", "graddrop"))
    assert method.head_weighting == ("weighted" if name in WEIGHTED_HEADS else "unit")


BAD_SETTINGS = [
    ("cagrad", {"c": -0.5}, "`c` must be a finite number of at least 0, not -0.5"),
    ("fairgrad", {"alpha": 0.0}, "`alpha` must be a finite number above 0, not 0.0"),
    ("gradnorm", {"alpha": math.nan}, "`alpha` must be a finite number of at least 0, not nan"),
    ("gradnorm", {"lr": 0.0}, "`lr` must be a positive finite number, not 0.0"),
    ("pcgrad", {"seed": -1}, "`seed` must be an integer of at least 0, not -1"),
    ("graddrop", {"seed": -1}, "`seed` must be an integer of at least 0, not -1"),
    ("graddrop", {"leak": -0.1}, "`leak` must be a finite number of at least 0, not -0.1"),
    ("graddrop", {"leak": 1.5}, "`leak` must be a share of at most 1, not 1.5"),
    ("db_mtl", {"beta": 1.0}, "`beta` must be a share below 1, not 1.0"),
    ("db_mtl", {"sigma": -1.0}, "`sigma` must be a finite number of at least 0, not -1.0"),
]


@pytest.mark.parametrize(("name", "settings", "message"), BAD_SETTINGS)
def test_a_setting_out_of_range_is_refused_by_name(name, settings, message):
    with pytest.raises(ValueError, match=message):
        GRADIENT_METHODS[name](**settings)


@pytest.mark.parametrize("name", ["aligned_mtl", "cagrad", "fairgrad", "mgda"])
def test_an_option_that_is_neither_true_nor_false_is_refused_by_name(name):
    method = GRADIENT_METHODS[name]()
    method.times_tasks = 2  # not at construction: there the tests' type checks come first
    with pytest.raises(ValueError, match="`times_tasks` must be True or False, not 2"):
        method.__post_init__()


def test_gradnorm_refuses_losses_that_it_is_not_defined_for():
    method = GRADIENT_METHODS["gradnorm"]()
    before = state_dict(method)
    with pytest.raises(ValueError, match=r"`losses\[1\]` must be finite and not negative"):
        method(torch.eye(2), torch.tensor([1.0, -1.0]))
    assert_close(state_dict(method), before, rtol=0, atol=0)


def test_db_mtl_refuses_gradients_of_another_shape_than_before():
    method = GRADIENT_METHODS["db_mtl"]()
    method(torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"`jacobian` must be of the shape \(2, 3\) as before"):
        method(torch.ones(2, 4))


@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_a_method_goes_on_from_a_saved_state_as_if_never_stopped(name):
    method, later = GRADIENT_METHODS[name](), GRADIENT_METHODS[name]()
    run(method, range(20))
    saved = state_dict(method)
    whole = run(method, range(20, 40))
    load_state_dict(later, saved)
    for continued, uninterrupted in zip(run(later, range(20, 40)), whole, strict=True):
        assert torch.equal(continued, uninterrupted)


@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_a_saved_state_holds_plain_values_only(name):
    method = GRADIENT_METHODS[name]()
    run(method, range(3))

    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(item) for key, item in value.items())
        return isinstance(value, int | float | Tensor)

    assert plain(state_dict(method))


@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_a_shallow_copy_is_a_copy_of_the_state(name):
    method = GRADIENT_METHODS[name]()
    run(method, range(3))
    kept, before = copy.copy(method), state_dict(method)
    run(method, range(3, 6))
    assert_close(state_dict(kept), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["pcgrad", "graddrop"])
def test_draws_depend_on_seed_and_call_alone(name):
    kind = GRADIENT_METHODS[name]
    rows = torch.from_numpy(gradients_of("random", 8, 3, decades=0.0))
    torch.manual_seed(5)
    first = [call(method, rows) for method in [kind(seed=3)] for _ in range(3)]
    torch.manual_seed(6)
    again = [call(method, rows) for method in [kind(seed=3)] for _ in range(3)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], call(kind(seed=4), rows))


def test_aggregate_combines_the_rows_by_the_weights():
    for name in FROM_GRAMIAN:
        rows = jacobian(0).float()
        direction = aggregate(name, rows.requires_grad_(), LOSSES)
        weights = call(GRADIENT_METHODS[name](), rows.detach().double(), LOSSES)
        assert direction.dtype is torch.float32
        assert not direction.requires_grad
        assert_close(direction, (weights @ rows.detach().double()).float())


def test_aggregate_goes_on_with_the_state_of_an_instance():
    method = GRADIENT_METHODS["gradnorm"]()
    before = aggregate(method, JACOBIAN)
    assert not torch.equal(before, aggregate(method, JACOBIAN))
    assert torch.equal(before, aggregate("gradnorm", JACOBIAN))


def test_aggregate_refuses_an_unknown_name():
    with pytest.raises(ValueError, match=r"unknown gradient method 'mdga'. Did you mean 'mgda'"):
        aggregate("mdga", JACOBIAN)


def test_instances_with_the_same_settings_are_equal_whatever_their_state():
    used = GRADIENT_METHODS["gradnorm"]()
    run(used, range(3))
    assert used == GRADIENT_METHODS["gradnorm"]()
    assert used != GRADIENT_METHODS["gradnorm"](alpha=1.0)
    assert repr(used) == "GradNorm(alpha=1.5, lr=0.025)"
