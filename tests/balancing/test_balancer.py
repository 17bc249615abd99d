from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from mtlgym.balancing import LOSS_METHODS, Balancer
from mtlgym.record import Record

SPECS = [
    "equal",
    "fixed:weights=[1,2]",
    "rlw",
    "rlw+si",
    "dwa",
    "dwa:window=3",
    "uw",
    "si",
    "igbv1",
    "famo",
    "gls",
    "go4align",
]


def graph(*values: float) -> Tensor:
    return torch.tensor(values, requires_grad=True)


def flat(state: dict[str, Any]) -> list[Any]:
    return [
        part
        for value in state.values()
        for part in (flat(value) if isinstance(value, dict) else [value])
    ]


def test_a_state_waiting_for_update_is_saved_too():
    balancer, resumed = Balancer("famo"), Balancer("famo")
    balancer.backward(graph(1.0, 2.0))
    resumed.load_state_dict(balancer.state_dict())
    for each in (balancer, resumed):
        each.update(torch.tensor([0.5, 1.9]))
    assert torch.equal(balancer.backward(graph(1.0, 2.0)), resumed.backward(graph(1.0, 2.0)))


def test_a_state_of_another_method_is_refused_and_changes_nothing():
    balancer = Balancer("uw")
    balancer.backward(graph(1.0, 2.0))
    before = balancer.state_dict()
    with pytest.raises(ValueError, match="`state` of UW must have the keys"):
        balancer.load_state_dict(Balancer("rlw").state_dict())
    with pytest.raises(ValueError, match="`state` of Balancer must have the keys"):
        balancer.load_state_dict({"step": 3})
    assert_close(flat(balancer.state_dict()), flat(before), rtol=0, atol=0)


BAD_LOSSES = [
    ("uw", torch.tensor(1.0, requires_grad=True), r"shape \(tasks,\), not \(\)"),
    ("uw", torch.ones(2, 1, requires_grad=True), r"shape \(tasks,\), not \(2, 1\)"),
    ("uw", torch.ones(0, requires_grad=True), r"shape \(tasks,\), not \(0,\)"),
    ("uw", torch.ones(3, requires_grad=True), "`losses` must be 2 as before, one a task, not 3"),
    ("uw", torch.ones(2), "`losses` must have a graph"),
    ("uw", graph(1.0, float("nan")), r"`losses\[1\]` must be finite.* not nan"),
    ("rlw", graph(float("inf"), 1.0), r"`losses\[0\]` must be finite, not inf"),
    ("rlw+si", graph(1.0, -2.0), r"`losses\[1\]` must be finite and not negative, not -2.0"),
    ("uw", graph(1.0, -2.0), r"`losses\[1\]` must be finite and not negative, not -2.0"),
]


@pytest.mark.parametrize(("spec", "losses", "message"), BAD_LOSSES)
def test_losses_that_cannot_be_used_are_refused_and_change_nothing(spec, losses, message):
    balancer = Balancer(spec)
    balancer.backward(graph(1.0, 2.0))
    before = balancer.state_dict()
    with pytest.raises(ValueError, match=message):
        balancer.backward(losses)
    assert_close(flat(balancer.state_dict()), flat(before), rtol=0, atol=0)


def test_a_failed_backward_pass_changes_nothing():
    balancer = Balancer("uw")
    losses = graph(1.0, 2.0).exp()
    balancer.backward(losses)
    before = balancer.state_dict()
    with pytest.raises(RuntimeError, match="second time"):
        balancer.backward(losses)
    assert_close(flat(balancer.state_dict()), flat(before), rtol=0, atol=0)


def test_negative_losses_are_fine_where_their_sign_does_not_matter():
    losses = graph(1.0, -2.0)
    assert_close(Balancer("equal").backward(losses), torch.ones(2))
    assert losses.grad is not None
    assert_close(losses.grad, torch.ones(2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("spec", SPECS)
def test_weights_are_finite_in_the_type_of_the_losses(spec, dtype):
    largest = min(1e30, torch.finfo(dtype).max)
    losses = torch.tensor([0.0, largest], dtype=dtype, requires_grad=True)
    weights = Balancer(spec, steps_per_epoch=1).backward(losses)
    assert weights.dtype is dtype
    assert torch.isfinite(weights).all()
    assert losses.grad is not None
    assert torch.isfinite(losses.grad).all()


def test_a_method_that_learns_from_each_batch_twice_insists_on_its_update():
    balancer = Balancer("famo")
    with pytest.raises(RuntimeError, match="does not wait for `update`"):
        balancer.update(torch.ones(2))
    balancer.backward(graph(1.0, 2.0))
    with pytest.raises(RuntimeError, match=r"update\(losses_after\)"):
        balancer.backward(graph(1.0, 2.0))
    with pytest.raises(ValueError, match=r"`losses\[0\]` must be .* not nan"):
        balancer.update(torch.tensor([float("nan"), 1.0]))
    with pytest.raises(ValueError, match="must be 2 as before"):
        balancer.update(torch.ones(3))
    balancer.update(torch.tensor([0.1, 2.0]))
    weights = balancer.backward(graph(1.0, 2.0))
    assert weights[0] < 2 / 3  # the task that fell faster loses weight


def test_other_methods_take_no_update():
    balancer = Balancer("equal")
    balancer.backward(graph(1.0, 2.0))
    with pytest.raises(RuntimeError, match="does not wait for `update`"):
        balancer.update(torch.ones(2))


@pytest.mark.parametrize("spec", ["dwa", "igbv1", "dwa+si"])
def test_methods_that_count_epochs_need_to_know_their_length(spec):
    with pytest.raises(ValueError, match=r"`steps_per_epoch` must be .* not None"):
        Balancer(spec)
    with pytest.raises(
        ValueError, match="`steps_per_epoch` must be an integer of at least 1, not 0"
    ):
        Balancer(spec, steps_per_epoch=0)


def test_an_instance_is_used_for_its_settings_and_keeps_its_own_state():
    mine = LOSS_METHODS["rlw"](seed=7)
    first = Balancer(mine).backward(graph(1.0, 1.0))
    assert torch.equal(Balancer(mine).backward(graph(1.0, 1.0)), first)
    assert_close(mine(Record(torch.ones(2))), first.double())
    with pytest.raises(TypeError, match="`method` must be a text or an instance"):
        Balancer(cast(Any, LOSS_METHODS["rlw"]))


def test_the_transform_can_be_chosen():
    losses = graph(0.5, 4.0)
    balancer = Balancer("fixed:weights=[3, 1]", transform="log")
    balancer.backward(losses)
    assert balancer.transform == "log"
    assert_close(losses.grad, torch.tensor([6.0, 0.25]))
    assert Balancer("igbv1", transform="none", steps_per_epoch=1).transform == "none"
    with pytest.raises(ValueError, match=r"unknown transform 'lgo'. Did you mean 'log'"):
        Balancer("equal", transform="lgo")


def test_shared_parameters_must_not_be_an_empty_list():
    with pytest.raises(ValueError, match="`shared` must hold at least one parameter"):
        Balancer("equal", shared=[])
    assert repr(Balancer("uw", shared=[nn.Parameter(torch.zeros(1))])) == "Balancer(UW(lr=0.025))"
