from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mtlgym.balancing import LOSS_METHODS, weighted
from mtlgym.balancing.adam import adam_step
from mtlgym.record import Record
from tests.balancing.loss_cases import (
    RECORDS,
    make,
    random_rows,
    reference_famo,
    reference_uw,
    run,
    softmax,
)

LAST = RECORDS[-1][0]


def published_uw() -> Tensor:
    """exp(-s) / 2 after torch's Adam has learned s on the first four steps."""
    return reference_uw([losses for losses, _ in RECORDS], lr=0.025)[-1]


def published_famo() -> Tensor:
    return reference_famo([losses for losses, _ in RECORDS])[-1]


def published_go4align() -> Tensor:
    """Shares by the plain formula; of the three values the lower two are the nearest pair."""
    shares = torch.full((3,), 1 / 3, dtype=torch.float64)
    for losses, _ in RECORDS:
        shares = shares * torch.exp(-1e-4 * torch.tensor(losses, dtype=torch.float64))
        shares = shares / shares.sum()
    values = shares * 8 / torch.tensor([3.0, 1.0, 4.0], dtype=torch.float64)  # about .9, 2.7, .7
    low = (values[0] + values[2]) / 2
    return torch.stack([low, values[1], low])


def expected(name: str) -> Tensor:
    third_draw = np.random.default_rng([0, 4]).standard_normal(3).tolist()
    return {
        "equal": lambda: torch.ones(3),
        "fixed": lambda: torch.tensor([1.0, 2.0, 3.0]),
        "rlw": lambda: 3 * softmax(third_draw),
        "dwa": lambda: 3 * softmax([3 / 8 / 2, 3 / 2 / 2, 2 / 2 / 2]),  # means 8 2 2 and 3 3 2
        "uw": published_uw,
        "si": lambda: torch.ones(3),
        "igbv1": lambda: 3 * softmax([3 / 3, 1 / 3, 4 / 2]),
        "famo": published_famo,
        "gls": lambda: torch.tensor([12 ** (1 / 3) / 3 / x for x in LAST]),
        "go4align": published_go4align,
    }[name]().double()


@pytest.mark.parametrize("name", LOSS_METHODS)
def test_method_gives_the_published_weights(name):
    weights = run(make(name), RECORDS)
    assert_close(weights[-1], expected(name), rtol=1e-6, atol=0)


OBJECTIVES = {
    "equal": lambda losses: losses.sum(),
    "fixed": lambda losses: (losses * torch.tensor([1.0, 2.0, 3.0])).sum(),
    "uw": lambda losses: (losses / 2).sum(),  # s = 0
    "gls": lambda losses: losses.prod() ** (1 / 3),
    "si": lambda losses: losses.log().sum(),
    "famo": lambda losses: losses.log().sum() / (1 / losses.detach()).sum(),  # z = 1 / 3
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_weighted_losses_have_the_gradient_of_the_published_objective(name):
    method = make(name)
    losses = torch.tensor([0.3, 5.0, 2.0], dtype=torch.float64, requires_grad=True)
    (wanted,) = torch.autograd.grad(OBJECTIVES[name](losses), losses)
    objective = weighted(losses, method(Record(losses.detach())), method.transform).sum()
    (got,) = torch.autograd.grad(objective, losses)
    assert_close(got, wanted, rtol=1e-12, atol=0)


def test_adam_step_equals_torch_adam():
    rng = np.random.default_rng(2)
    moments: dict[str, Any] = {}
    ours = torch.from_numpy(rng.standard_normal(4))
    theirs = ours.clone().requires_grad_()
    adam = torch.optim.Adam([theirs], lr=0.1, weight_decay=0.01)
    for _ in range(100):
        gradient = torch.from_numpy(rng.standard_normal(4))
        ours, moments = adam_step(ours, gradient, moments, 0.1, 0.01)
        theirs.grad = gradient
        adam.step()
        assert_close(ours, theirs.detach(), rtol=1e-12, atol=1e-14)


def test_uw_learns_as_joint_adam_does():
    rows = random_rows(50)
    wanted = reference_uw([losses for losses, _ in rows], lr=0.1)
    for got, want in zip(run(LOSS_METHODS["uw"](lr=0.1), rows), wanted, strict=True):
        assert_close(got, want, rtol=1e-11, atol=0)


def test_famo_learns_as_its_algorithm_through_autograd_does():
    rows = random_rows(50)
    wanted = reference_famo([losses for losses, _ in rows])
    for got, want in zip(run(make("famo"), rows), wanted, strict=True):
        assert_close(got, want, rtol=1e-10, atol=0)
        assert_close(got.sum().item(), 1.0)


def test_famo_measures_the_losses_from_their_minima():
    shifted = LOSS_METHODS["famo"](min_losses=[1.0, 2.0, 0.5])
    plain = make("famo")
    for losses, _ in random_rows(5):
        low = torch.tensor(losses, dtype=torch.float64)
        high = low + torch.tensor([1.0, 2.0, 0.5])
        assert_close(shifted(Record(high)), plain(Record(low)))
        decline = low * torch.tensor([0.5, 0.25, 0.125])
        shifted.update(high, high - decline)
        plain.update(low, low - decline)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_dwa_by_epochs_equals_a_plain_transcription(temperature):
    method = LOSS_METHODS["dwa"](temperature=temperature)
    rows = random_rows(50)
    means = np.array([losses for losses, _ in rows]).reshape(5, 10, 3).mean(axis=1)
    for step, weights in enumerate(run(method, rows)):
        epoch = step // 10
        wanted = torch.ones(3, dtype=torch.float64)
        if epoch >= 2:
            wanted = 3 * softmax((means[epoch - 1] / means[epoch - 2] / temperature).tolist())
        assert_close(weights, wanted, rtol=1e-12, atol=0)


def test_dwa_by_window_equals_a_plain_transcription():
    rows = random_rows(80)
    losses = np.array([row for row, _ in rows])
    for step, weights in enumerate(run(LOSS_METHODS["dwa"](window=25), rows), start=1):
        wanted = torch.ones(3, dtype=torch.float64)
        if step >= 50:
            now, before = losses[step - 25 : step], losses[step - 50 : step - 25]
            wanted = 3 * softmax((now.mean(axis=0) / before.mean(axis=0) / 2).tolist())
        assert_close(weights, wanted, rtol=1e-12, atol=0)
