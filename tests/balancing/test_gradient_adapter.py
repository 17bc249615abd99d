"""TorchJD's aggregators as gradient methods."""

import copy
import math
import sys

import pytest
import torch
from torch.testing import assert_close

from mtlgym.balancing import load_state_dict, state_dict
from mtlgym.balancing.aggregate import aggregate
from mtlgym.balancing.gradients import GradientMethod, TorchJD
from tests.balancing.gradient_cases import JACOBIAN, gradients_of

pytest.importorskip("torchjd", reason="TorchJD is not installed: pip install mtlgym[torchjd]")

pytestmark = [
    # cvxpy's, on TorchJD's NashMTL
    pytest.mark.filterwarnings("ignore:You are solving a parameterized problem that is not DPP"),
    pytest.mark.filterwarnings("ignore:Solution may be inaccurate"),
    pytest.mark.filterwarnings(
        "ignore:\\s*The problem includes expressions that don't support CPP"
    ),
]


@pytest.mark.parametrize(
    ("name", "settings", "needs_jacobian"),
    [("UPGrad", {}, False), ("ConFIG", {}, True), ("Mean", {}, True), ("Krum", None, False)],
)
def test_an_aggregator_of_torchjd_is_a_gradient_method(name, settings, needs_jacobian):
    method = TorchJD(name, {"n_byzantine": 0} if settings is None else settings)
    assert isinstance(method, GradientMethod)
    assert method.needs_jacobian == needs_jacobian
    rows = torch.from_numpy(gradients_of("random", 4, 0, decades=1.0)).float()
    result = method(rows if needs_jacobian else rows @ rows.T)
    assert result.dtype is (torch.float32 if needs_jacobian else torch.float64)
    assert result.shape == ((rows.shape[1],) if needs_jacobian else (4,))
    assert aggregate(method, rows).dtype is torch.float32


def test_a_list_among_the_settings_becomes_a_tensor():
    constant = TorchJD("Constant", {"weights": [1.0, 2.0]})
    assert_close(aggregate(constant, JACOBIAN.float()), torch.tensor([8.0, 3.0, 3.0]))
    preferring = TorchJD("UPGrad", {"pref_vector": [1, 0]})
    assert aggregate(preferring, JACOBIAN)[0] < aggregate(TorchJD("UPGrad"), JACOBIAN)[0]


BAD = [
    ("CAGard", {}, r"unknown aggregator of TorchJD 'CAGard'. Did you mean 'CAGrad'"),
    ("Aggregator", {}, "unknown aggregator of TorchJD 'Aggregator'"),
    ("CAGradWeighting", {}, "unknown aggregator of TorchJD 'CAGradWeighting'"),
    (
        "CAGrad",
        {"k": 1},
        "unknown setting of TorchJD's CAGrad 'k'. Did you mean|Known: c, norm_eps",
    ),
    ("CAGrad", {}, "setting `c` of TorchJD's CAGrad must be given"),
    ("CAGrad", {"c": -1.0}, "c must be non-negative"),
]


@pytest.mark.parametrize(("name", "settings", "message"), BAD)
def test_what_torchjd_does_not_know_is_refused(name, settings, message):
    with pytest.raises(ValueError, match=message):
        TorchJD(name, settings)


def test_without_torchjd_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchjd", None)
    with pytest.raises(ImportError, match=r"pip install mtlgym\[torchjd\]"):
        TorchJD("UPGrad")


def test_its_draws_depend_on_seed_and_call_alone_and_leave_torch_as_it_was():
    rows = torch.from_numpy(gradients_of("random", 6, 0, decades=0.0))
    first = TorchJD("Random", seed=3)
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    seen = [first(rows) for _ in range(3)]
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(2)
    again = TorchJD("Random", seed=3)
    assert all(torch.equal(again(rows), direction) for direction in seen)
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], TorchJD("Random", seed=4)(rows))


def test_its_draws_go_on_from_a_saved_state():
    rows = torch.from_numpy(gradients_of("random", 6, 0, decades=0.0))
    method, later = TorchJD("Random"), TorchJD("Random")
    method(rows)
    load_state_dict(later, state_dict(method))
    assert state_dict(method) == {"_calls": 1}
    assert torch.equal(method(rows), later(rows))


@pytest.mark.parametrize(
    ("name", "settings"), [("GradVac", {}), ("NashMTL", {"n_tasks": 3}), ("ExcessMTL", {})]
)
def test_a_copy_of_one_with_a_state_has_a_state_of_its_own(name, settings):
    rows = [torch.from_numpy(gradients_of("random", 3, s, decades=1.0)) for s in range(3)]
    method, plain = TorchJD(name, settings), TorchJD(name, settings)
    wanted = [aggregate(plain, row) for row in rows]
    aggregate(method, rows[0])
    copied = copy.copy(method)
    for each in (method, copied):
        assert_close([aggregate(each, row) for row in rows[1:]], wanted[1:], rtol=0, atol=0)


def test_one_with_a_state_does_not_go_on_from_a_saved_state_that_lacks_it():
    rows = torch.from_numpy(gradients_of("random", 3, 0, decades=1.0))
    method, later = TorchJD("GradVac"), TorchJD("GradVac")
    aggregate(method, rows)
    load_state_dict(later, state_dict(method))
    with pytest.raises(RuntimeError, match="GradVac cannot be resumed from a saved state"):
        aggregate(later, rows)


def test_a_result_that_is_not_finite_is_an_error():
    with pytest.raises(
        ArithmeticError, match="TorchJD's GradDrop gave a result that is not finite"
    ):
        TorchJD("GradDrop", {"leak": [math.inf, 1.0]})(JACOBIAN)
