"""Every architecture of the table, and what each must equal in its limits."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from mtlgym.models.architectures import ARCHITECTURES
from mtlgym.models.heads import Head, HeadSizes, check_actions
from mtlgym.models.routing_net import RoutingNet
from mtlgym.models.static_route import StaticRoute

FORM = HeadSizes(features=6, classes=5, tasks=4, width=6)
SOFT = ("soft-mixture-fc", "cross-stitch-all-fc")
STATIC = {"shared": [1, 1, 1], "task-specific-1-fc": [1, 1, 4], "task-specific-all-fc": [4, 4, 4]}


def build(name, form=FORM, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head: Any = ARCHITECTURES[name].build(form)
        return head.double()


def samples(head, count=30, seed=1, features=6):
    """Features, tasks and allowed routes."""
    rng = np.random.default_rng(seed)
    routes = [rng.choice(np.flatnonzero(row), count) for row in head.allowed]
    return (
        torch.from_numpy(rng.normal(size=(count, features))),
        torch.from_numpy(rng.integers(head.tasks, size=count)),
        torch.from_numpy(np.stack(routes, axis=1)),
    )


def scores(head, features, task, routes):
    return RoutingNet(nn.Flatten(), head)(features[:, :, None, None], task, routes)


def copy_blocks(source, target):
    target.layers.load_state_dict(source.layers.state_dict())


def own_route(task, depth=3):
    return task[:, None].expand(-1, depth)


@pytest.fixture(params=ARCHITECTURES)
def name(request):
    return request.param


def test_every_architecture_gives_scores_and_learns_from_them(name):
    head = build(name)
    features, task, routes = samples(head)
    assert isinstance(build(name), Head)
    result = scores(head, features, task, routes)
    assert result.shape == (30, 5)
    result.square().sum().backward()
    assert any(each.grad is not None and each.grad.any() for each in head.parameters())


def test_values_are_never_longer_than_the_head_says(name):
    for form in (FORM, HeadSizes(9, 5, 3, width=9), HeadSizes(4, 11, 2, width=4, depth=1)):
        head = build(name, form)
        features, task, routes = samples(head, features=form.features)
        state, lengths = head.start(features), []
        for depth in range(head.depth):
            lengths.append(head.value(state, task).shape[1])
            state = head.layer(depth, state, task, routes[:, depth])
        lengths.append(head.value(state, task).shape[1])
        assert lengths == list(form.sizes)
        assert max(lengths) == head.width


def test_rows_alone_are_as_among_others(name):
    head = build(name)
    features, task, routes = samples(head)
    state = head.start(features)
    alone = [state[i : i + 1] for i in range(len(features))]
    for depth in range(head.depth):
        action = routes[:, depth]
        rows = [slice(i, i + 1) for i in range(len(features))]
        alone = [
            head.layer(depth, each, task[row], action[row])
            for each, row in zip(alone, rows, strict=True)
        ]
        state = head.layer(depth, state, task, action)
        assert_close(torch.cat(alone), state)
        found = torch.cat([head.value(state[row], task[row]) for row in rows])
        assert torch.equal(found, head.value(state, task))


def test_the_same_seed_makes_the_same_network(name):
    one, two, other = build(name), build(name), build(name, seed=1)
    given = samples(one)
    assert torch.equal(scores(one, *given), scores(two, *given))
    assert not torch.equal(scores(one, *given), scores(other, *given))


def test_actions_are_as_many_as_the_columns_of_what_is_allowed(name):
    head = build(name)
    assert head.allowed.shape == (head.depth, head.actions) == (3, head.actions)
    assert head.allowed.dtype == bool
    assert head.allowed.any(axis=1).all()
    assert (head.actions > 1) == (ARCHITECTURES[name].dispatch is not None)
    with pytest.raises(ValueError, match=f"must be one of .* not {head.actions}"):
        check_actions(head, 0, [0, head.actions])


def test_a_recursive_route_may_take_any_hidden_block_at_any_hidden_depth_or_none():
    head = build("routing-all-fc-recursive")
    assert head.allowed.sum(axis=1).tolist() == [2 * 4 + 1, 2 * 4 + 1, 4]
    assert build("routing-all-fc").allowed.sum(axis=1).tolist() == [4, 4, 4]


def test_agents_are_dispatched_as_the_names_say():
    found = {name: each.dispatch for name, each in ARCHITECTURES.items() if each.dispatch}
    assert found == {
        "routing-all-fc": "task",
        "routing-all-fc-recursive": "task",
        "routing-all-fc-dispatched": "learned",
        "routing-all-fc-single-agent": "single",
    }


def test_a_router_that_is_frozen_to_each_tasks_block_is_task_specific():
    routed, fixed = build("routing-all-fc"), build("task-specific-all-fc", seed=1)
    copy_blocks(routed, fixed)
    features, task, routes = samples(fixed)
    expected = scores(routed, features, task, own_route(task))
    assert torch.equal(scores(fixed, features, task, routes), expected)


@pytest.mark.parametrize("name", STATIC)
def test_static_routes_share_the_layers_that_their_names_say(name):
    head = build(name)
    assert [len(layer) for layer in head.layers] == STATIC[name]
    features, task, routes = samples(head)
    expected = []
    for x, t in zip(features, task.tolist(), strict=True):
        for layer in head.layers:
            x = layer[t if len(layer) > 1 else 0](x)
        expected.append(x)
    assert_close(scores(head, features, task, routes), torch.stack(expected))


def test_a_task_reaches_no_other_tasks_layers():
    head = build("task-specific-all-fc")
    features, _, routes = samples(head)
    scores(head, features, torch.full((30,), 2), routes).sum().backward()
    reached = {name.split(".")[2] for name, p in head.named_parameters() if p.grad is not None}
    assert reached == {"2"}


def test_a_soft_mixture_is_the_mean_of_the_blocks_under_softmax():
    head = build("soft-mixture-fc", HeadSizes(6, 5, 4, width=7, blocks=3))
    nn.init.normal_(head.logits, generator=torch.Generator().manual_seed(2))
    features, task, routes = samples(head)
    expected = []
    for x, t in zip(features, task.tolist(), strict=True):
        for depth, layer in enumerate(head.layers):
            powers = [float(np.exp(each)) for each in head.logits[t, depth].tolist()]
            x = sum(p / sum(powers) * block(x) for p, block in zip(powers, layer, strict=True))
        expected.append(x)
    assert_close(scores(head, features, task, routes), torch.stack(expected))


def test_a_soft_mixture_starts_with_equal_weights():
    head = build("soft-mixture-fc", HeadSizes(6, 5, 4, blocks=3))
    assert head.logits.shape == (4, 3, 3)
    assert not head.logits.any()


def test_a_soft_mixture_that_is_sure_is_the_hard_route():
    mixture, routed = build("soft-mixture-fc"), build("routing-all-fc", seed=1)
    copy_blocks(mixture, routed)
    features, task, routes = samples(mixture)
    best = torch.randint(4, (4, 3), generator=torch.Generator().manual_seed(3))  # (tasks, depth)
    with torch.no_grad():
        mixture.logits.fill_(-1e4).scatter_(2, best[:, :, None], 1e4)
    expected = scores(routed, features, task, best[task])
    assert_close(scores(mixture, features, task, routes), expected)


def test_a_cross_stitch_mixes_the_columns_after_every_layer():
    head = build("cross-stitch-all-fc", HeadSizes(6, 5, 3, width=7))
    nn.init.normal_(head.alpha, generator=torch.Generator().manual_seed(2))
    features, task, routes = samples(head)
    expected = []
    for x, t in zip(features, task.tolist(), strict=True):
        columns = [x] * 3
        for depth, layer in enumerate(head.layers):
            made = [block(column) for block, column in zip(layer, columns, strict=True)]
            columns = [sum(head.alpha[depth, k, j] * made[j] for j in range(3)) for k in range(3)]
        expected.append(columns[t])
    assert_close(scores(head, features, task, routes), torch.stack(expected))


def test_a_cross_stitch_of_identities_is_a_network_a_task():
    stitched, fixed = build("cross-stitch-all-fc"), build("task-specific-all-fc", seed=1)
    copy_blocks(stitched, fixed)
    with torch.no_grad():
        stitched.alpha.copy_(torch.eye(4).expand(3, 4, 4))
    given = samples(fixed)
    assert_close(scores(stitched, *given), scores(fixed, *given))


def test_a_cross_stitch_starts_near_the_identity():
    third = 0.1 / 3
    row = [0.9, third, third, third]
    expected = torch.tensor([row[-k:] + row[:-k] for k in range(4)])
    assert_close(build("cross-stitch-all-fc").alpha.float(), expected.expand(3, 4, 4))
    alone = build("cross-stitch-all-fc", HeadSizes(6, 5, 1))
    assert_close(alone.alpha.float(), torch.ones(3, 1, 1))


@pytest.mark.parametrize("name", SOFT)
@pytest.mark.parametrize("count", [5, 10, 20, 40])
def test_soft_heads_send_every_sample_through_every_block(name, count):
    head = build(name, HeadSizes(6, 5, count, width=3))
    rows: Counter[nn.Module] = Counter()
    for module in head.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(lambda m, inputs, output: rows.update({m: len(output)}))
    scores(head, *samples(head))
    assert len(rows) == 3 * count
    assert set(rows.values()) == {30}


@pytest.mark.parametrize("name", (*SOFT, *STATIC))
def test_heads_without_a_choice_refuse_to_skip_layers(name):
    with pytest.raises(ValueError, match="`passes` must be False for"):
        build(name, HeadSizes(6, 5, 4, width=6, passes=True))


@pytest.mark.parametrize("name", ("cross-stitch-all-fc", *STATIC))
def test_heads_with_a_block_a_task_refuse_another_number(name):
    build(name, HeadSizes(6, 5, 4, blocks=4))
    with pytest.raises(ValueError, match="`blocks` must be None or the number of tasks, 4, for"):
        build(name, HeadSizes(6, 5, 4, blocks=3))


@pytest.mark.parametrize("own", [-1, 4])
def test_a_static_route_has_no_more_layers_of_its_own_than_layers(own):
    with pytest.raises(ValueError, match=rf"`own` must be .* in \[0, 3\], not {own}"):
        StaticRoute(FORM, own)


def test_a_route_of_one_layer_is_a_classifier_for_every_architecture(name):
    head = build(name, HeadSizes(6, 5, 4, width=6, depth=1))
    features, task, routes = samples(head)
    assert routes.shape == (30, 1)
    assert scores(head, features, task, routes).shape == (30, 5)


def test_sizes_of_heads_are_those_of_their_blocks():
    layers = 6 * 6 + 6, 6 * 6 + 6, 6 * 5 + 5
    counts = {head: sum(p.numel() for p in build(head).parameters()) for head in ARCHITECTURES}
    every = 4 * sum(layers)
    assert counts == {
        "routing-all-fc": every,
        "routing-all-fc-recursive": every,
        "routing-all-fc-dispatched": every,
        "routing-all-fc-single-agent": every,
        "soft-mixture-fc": every + 4 * 3 * 4,
        "cross-stitch-all-fc": every + 3 * 4 * 4,
        "task-specific-1-fc": layers[0] + layers[1] + 4 * layers[2],
        "task-specific-all-fc": every,
        "shared": sum(layers),
    }
