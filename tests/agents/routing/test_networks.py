"""Stacked networks against torch's own layers and optimizer, one network at a time."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from mtlgym.agents.routing.networks import Adam, Stacked

AGENTS, DEPTHS, FEATURES, HIDDEN, OUTPUTS = 4, 3, 5, 7, 2
PARTS = ("inner", "inner_bias", "outer", "outer_bias")
BATCHES = {
    "mixed": (torch.tensor([2, 0, 2, 1, 2, 0]), torch.tensor([1, 0, 1, 2, 0, 0])),
    "one network": (torch.full((6,), 3), torch.full((6,), 2)),
    "one depth": (torch.tensor([3, 2, 1, 0, 1, 3]), torch.zeros(6, dtype=torch.int64)),
    "one row": (torch.tensor([1]), torch.tensor([1])),
}


def stack(seed=0):
    rng = np.random.default_rng(seed)
    return Stacked((AGENTS, DEPTHS), (FEATURES, HIDDEN, OUTPUTS), rng)


def separate(stacked):
    """The same networks, made of torch's layers."""
    made = {}
    for agent in range(AGENTS):
        for depth in range(DEPTHS):
            one = nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, OUTPUTS))
            at = agent, depth
            values = (getattr(stacked, part)[at].detach().clone() for part in PARTS)
            for parameter, value in zip(one.parameters(), values, strict=True):
                parameter.data = value.T.contiguous() if parameter.ndim == 2 else value[0]
            made[at] = one
    return made


def slices(tensors, at):
    """One network's part of four stacked tensors, in the order and form of torch's layers."""
    inner, inner_bias, outer, outer_bias = (tensor[at] for tensor in tensors)
    return inner.T, inner_bias[0], outer.T, outer_bias[0]


def batch(name, seed=1):
    agent, depth = BATCHES[name]
    features = torch.randn(len(agent), FEATURES, generator=torch.Generator().manual_seed(seed))
    return agent, depth, features


def one_by_one(networks, agent, depth, features):
    pairs = zip(agent.tolist(), depth.tolist(), strict=True)
    return torch.stack([networks[at](row) for at, row in zip(pairs, features, strict=True)])


@pytest.mark.parametrize("name", BATCHES)
def test_rows_go_through_their_own_networks(name):
    stacked, rows = stack(), batch(name)
    assert_close(stacked(*rows), one_by_one(separate(stacked), *rows))


@pytest.mark.parametrize("name", BATCHES)
def test_gradients_are_those_of_separate_networks_and_zero_elsewhere(name):
    stacked, rows = stack(), batch(name)
    networks = separate(stacked)
    target = torch.randn(len(rows[0]), OUTPUTS, generator=torch.Generator().manual_seed(2))
    F.mse_loss(stacked(*rows), target).backward()
    F.mse_loss(one_by_one(networks, *rows), target).backward()
    gradients = [getattr(stacked, part).grad for part in PARTS]
    used = set(zip(rows[0].tolist(), rows[1].tolist(), strict=True))
    for at, network in networks.items():
        for found, parameter in zip(slices(gradients, at), network.parameters(), strict=True):
            if at in used:
                assert_close(found, parameter.grad)
            else:
                assert parameter.grad is None
                assert not found.any()


def test_steps_are_those_of_torchs_adam_for_each_network_alone():
    stacked = stack()
    adam, networks = Adam(stacked, 0.01), separate(stacked)
    reference = torch.optim.Adam([p for net in networks.values() for p in net.parameters()], 0.01)
    names = [*BATCHES, "one row", "mixed", "mixed"] * 5
    for seed, name in enumerate(names):
        rows = batch(name, seed)
        adam.step(stacked(*rows).square().mean(), *rows[:2])
        reference.zero_grad()  # networks without a gradient are left alone by torch's Adam too
        one_by_one(networks, *rows).square().mean().backward()
        reference.step()
    values = [getattr(stacked, part) for part in PARTS]
    for at, network in networks.items():
        for found, parameter in zip(slices(values, at), network.parameters(), strict=True):
            assert_close(found, parameter, rtol=1e-4, atol=1e-6)


def test_networks_without_rows_do_not_move_at_all():
    stacked = stack()
    adam = Adam(stacked, 0.01)
    for name in BATCHES:  # so that every moment in use is not 0
        rows = batch(name)
        adam.step(stacked(*rows).square().mean(), *rows[:2])
    before = adam.state_dict()
    rows = batch("one depth", 7)
    adam.step(stacked(*rows).square().mean(), *rows[:2])
    after = adam.state_dict()
    for kind in ("parameters", "first", "second"):
        for part in PARTS:
            assert torch.equal(after[kind][part][:, 1:], before[kind][part][:, 1:])
            assert not torch.equal(after[kind][part][:, 0], before[kind][part][:, 0])
    assert torch.equal(after["steps"][:, 1:], before["steps"][:, 1:])


def test_parameters_start_like_torchs_linear_layers():
    rng = np.random.default_rng(3)
    stacked = Stacked((10, 10), (9, 64, 16), rng)
    for part, inputs in zip(PARTS, (9, 9, 64, 64), strict=True):
        values = getattr(stacked, part).detach()
        bound = inputs**-0.5
        assert values.abs().max() <= bound
        assert values.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
        assert values.mean().item() == pytest.approx(0, abs=0.05 * bound)
        assert len(values.unique()) > 0.9 * values.numel()  # no two networks are alike


def test_initialisation_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    one, two, other = stack(0), stack(0), stack(1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.inner, two.inner)
    assert not torch.equal(one.inner, other.inner)


def test_optimizer_continues_bit_for_bit():
    first, rows = Adam(stack(0), 0.01), batch("mixed")
    for _ in range(5):
        first.step(first.network(*rows).square().mean(), *rows[:2])
    state = first.state_dict()
    second = Adam(stack(1), 0.01)
    second.load_state_dict(state)
    for adam in (first, second):
        for _ in range(5):
            adam.step(adam.network(*rows).square().mean(), *rows[:2])
    one, two = first.state_dict(), second.state_dict()
    for kind in ("parameters", "first", "second"):
        assert all(torch.equal(one[kind][part], two[kind][part]) for part in PARTS)
    assert torch.equal(one["steps"], two["steps"])
    assert not torch.equal(state["parameters"]["inner"], one["parameters"]["inner"])
