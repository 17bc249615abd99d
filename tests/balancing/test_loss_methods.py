import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mtlgym.balancing import LOSS_METHODS, load_state_dict, state_dict
from mtlgym.record import Record
from tests.balancing.loss_cases import (
    RECORDS,
    make,
    random_rows,
    records,
    run,
)


@pytest.mark.parametrize("name", LOSS_METHODS)
def test_method_goes_on_from_a_saved_state_as_if_never_stopped(name):
    rows = random_rows(70)
    method, later = make(name), make(name)
    run(method, rows[:35])
    saved = state_dict(method)
    whole = run(method, rows[35:])
    load_state_dict(later, saved)
    for continued, uninterrupted in zip(run(later, rows[35:]), whole, strict=True):
        assert torch.equal(continued, uninterrupted)


@pytest.mark.parametrize("name", LOSS_METHODS)
def test_saved_state_holds_plain_values_only(name):
    method = make(name)
    run(method, random_rows(30))

    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(item) for key, item in value.items())
        if isinstance(value, list):
            return all(plain(item) for item in value)
        return isinstance(value, int | float | Tensor)

    assert plain(state_dict(method))


def test_a_saved_state_shares_nothing_with_its_method():
    method, other = make("uw"), make("uw")
    run(method, RECORDS)
    saved, kept = state_dict(method), state_dict(method)
    saved["_moments"]["mean"].zero_()
    assert_close(state_dict(method), kept, rtol=0, atol=0)
    load_state_dict(other, kept)
    kept["_log_variances"].zero_()
    assert_close(other(Record(torch.ones(3))), method(Record(torch.ones(3))), rtol=0, atol=0)


@pytest.mark.parametrize("name", LOSS_METHODS)
def test_state_of_another_method_is_refused_and_changes_nothing(name):
    method = make(name)
    run(method, RECORDS)
    before = state_dict(method)
    with pytest.raises(ValueError, match=r"must have the keys .*, not .*'_other'"):
        load_state_dict(method, {"_other": 1, **before})
    assert_close(state_dict(method), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", LOSS_METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_are_finite_at_every_scale_of_the_losses(name, dtype):
    method = make(name)
    for step in range(60):
        scales = [[0.0, 1e-30, 1e30], [1e30, 0.0, 1e30], [1e-30] * 3, [0.0] * 3, [1e30] * 3]
        losses = torch.tensor(scales[step % 5], dtype=dtype)
        weights = method(Record(losses, step=step, epoch=1 + step // 10))
        assert torch.isfinite(weights).all()
        assert (weights >= 0).all()
        assert weights.any()
        if method.needs_same_batch:
            method.update(losses, losses.flip(0))


@pytest.mark.parametrize("name", sorted(set(LOSS_METHODS) - {"rlw"}))
def test_weights_permute_with_their_tasks(name):
    order = [2, 0, 3, 1]
    rows = random_rows(60, tasks=4)
    moved = [([losses[i] for i in order], epoch) for losses, epoch in rows]
    first, second = make(name), make(name)
    if name == "fixed":
        first.weights = [1, 2, 3, 4]
        second.weights = [3, 1, 4, 2]
    for (losses, epoch), (permuted, _) in zip(rows, moved, strict=True):
        here = Record(torch.tensor(losses), epoch=epoch)
        there = Record(torch.tensor(permuted), epoch=epoch)
        assert_close(first(here)[order], second(there), rtol=1e-9, atol=0)
        if first.needs_same_batch:
            first.update(here.losses, here.losses / torch.arange(1, 5))
            second.update(there.losses, there.losses / (torch.arange(1, 5)[order]))


@pytest.mark.parametrize("name", LOSS_METHODS)
def test_weights_are_float64_on_the_cpu_without_a_graph(name):
    weights = make(name)(Record(torch.ones(3, requires_grad=True)))
    assert weights.dtype is torch.float64
    assert weights.device.type == "cpu"
    assert not weights.requires_grad


@pytest.mark.parametrize("name", LOSS_METHODS)
def test_a_call_changes_no_earlier_value_in_place(name):
    method = make(name)
    for record in records(random_rows(30)):
        values = {key: getattr(method, key) for key in state_dict(method)}
        before = state_dict(method)
        method(record)
        assert_close(values, before, rtol=0, atol=0)


def test_igbv1_gives_ones_until_its_base_epoch_is_over():
    weights = run(make("igbv1"), random_rows(30))
    assert all(torch.equal(w, torch.ones(3, dtype=torch.float64)) for w in weights[:20])
    assert_close(torch.stack(weights[20:]).sum(dim=1), torch.full((10,), 3.0).double())
    assert all(w.std() > 0.01 for w in weights[20:])


def test_igbv1_refuses_to_start_after_its_base_epoch():
    with pytest.raises(ValueError, match=r"`record.epoch` is 3, but no batch of epoch 2"):
        make("igbv1")(Record(torch.ones(2), epoch=3))


def test_rlw_depends_on_its_seed_and_draw_alone():
    rlw = LOSS_METHODS["rlw"]
    first, again, other = (run(rlw(seed=s), RECORDS) for s in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    assert not torch.equal(first[0], first[1])
    assert_close(torch.stack(first).sum(dim=1), torch.full((5,), 3.0).double())


BAD_SETTINGS = [
    ("dwa", {"temperature": 0.0}, "`temperature` must be a positive finite number, not 0.0"),
    ("dwa", {"window": -1}, "`window` must be .* not -1"),
    ("uw", {"lr": math.nan}, "`lr` must be a positive finite number, not nan"),
    ("famo", {"lr": math.inf}, "`lr` must be a positive finite number, not inf"),
    ("famo", {"gamma": -1.0}, "`gamma` must be a finite number of at least 0, not -1.0"),
    ("go4align", {"step_size": -1.0}, "`step_size` must be a positive finite number"),
    ("go4align", {"groups": 0}, "`groups` must be 1 or more, not 0"),
    ("igbv1", {"base_epoch": 0}, "`base_epoch` must be 1 or more, not 0"),
    ("rlw", {"seed": -1}, "`seed` must be a non-negative integer, not -1"),
    ("fixed", {}, "`weights` must be given, one number for each task"),
    ("fixed", {"weights": [1.0, -2.0]}, r"`weights` must be .* not \[1.0, -2.0\]"),
    ("fixed", {"weights": [0.0, 0.0]}, r"`weights` must be .* not \[0.0, 0.0\]"),
    ("fixed", {"weights": [1.0, math.nan]}, r"`weights` must be .* not \[1.0, nan\]"),
]


@pytest.mark.parametrize(("name", "settings", "message"), BAD_SETTINGS)
def test_a_setting_out_of_range_is_refused_by_name(name, settings, message):
    with pytest.raises(ValueError, match=message):
        LOSS_METHODS[name](**settings)


@pytest.mark.parametrize(("name", "key"), [("fixed", "weights"), ("famo", "min_losses")])
def test_a_list_that_is_not_one_for_each_task_is_refused(name, key):
    method = LOSS_METHODS[name](**{key: [1.0, 2.0]})
    with pytest.raises(ValueError, match=f"`{key}` must be one for each of the 3 tasks"):
        method(Record(torch.ones(3)))


@pytest.mark.parametrize("name", ["dwa", "uw", "gls", "igbv1", "famo", "go4align"])
@pytest.mark.parametrize("bad", [-0.5, math.nan, math.inf])
def test_a_loss_that_the_method_is_not_defined_for_is_refused(name, bad):
    method = make(name)
    before = state_dict(method)
    with pytest.raises(
        ValueError, match=rf"`losses\[1\]` must be finite and not negative, .*{bad}"
    ):
        method(Record(torch.tensor([1.0, bad])))
    assert_close(state_dict(method), before, rtol=0, atol=0)


def test_instances_with_the_same_settings_are_equal_whatever_their_state():
    used = make("dwa")
    run(used, random_rows(30))
    assert used == make("dwa")
    assert used != LOSS_METHODS["dwa"](window=25)
    assert repr(used) == "DWA(temperature=2.0, window=0, transform='none')"
