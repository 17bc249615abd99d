"""Routed layers against the same blocks composed by hand."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from mtlgym.models.blocks import PASS, block, route
from mtlgym.models.heads import Head, HeadSizes, check_actions
from mtlgym.models.routed import Routed
from mtlgym.models.routing_net import RoutingNet
from mtlgym.models.simple_conv import SimpleConv

SQUARE = HeadSizes(features=6, classes=5, tasks=4, width=6, passes=True)
KINDS = {
    "plain": (HeadSizes(features=7, classes=5, tasks=4, width=6), False),
    "passes": (SQUARE, False),
    "recursive": (HeadSizes(features=6, classes=5, tasks=4, width=6, blocks=3, depth=4), True),
}


def make(kind, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Routed(*KINDS[kind]).double()


def samples(head, count=40, seed=1):
    """Features, tasks and allowed routes."""
    rng = np.random.default_rng(seed)
    inputs = next(head.parameters()).shape[1]
    routes = [rng.choice(np.flatnonzero(row), count) for row in head.allowed]
    return (
        torch.from_numpy(rng.normal(size=(count, inputs))),
        torch.from_numpy(rng.integers(head.tasks, size=count)),
        torch.from_numpy(np.stack(routes, axis=1)),
    )


def scores(head, features, task, routes):
    return RoutingNet(nn.Flatten(), head)(features[:, :, None, None], task, routes)


def chosen(head, kind, depth, action):
    """The linear layer that an action stands for, None for PASS."""
    last = depth == head.depth - 1
    if kind != "plain" and not last and action == head.actions - 1:
        return None
    blocks = head.layers[-1 if last else 0 if kind == "recursive" else depth]
    return blocks[action] if last else blocks[action][0]


def by_hand(head, kind, x, path):
    """The scores of one sample, and the parameters on its route."""
    used = []
    for depth, action in enumerate(path):
        linear = chosen(head, kind, depth, action)
        if linear is not None:
            used += [linear.weight, linear.bias]
            x = linear.weight @ x + linear.bias
            x = x if depth == head.depth - 1 else x.clamp(min=0)
    return x, used


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def test_scores_are_those_of_each_samples_blocks_composed_by_hand(kind):
    head = make(kind)
    features, task, routes = samples(head)
    found = scores(head, features, task, routes)
    pairs = zip(features, routes.tolist(), strict=True)
    assert_close(found, torch.stack([by_hand(head, kind, x, path)[0] for x, path in pairs]))


def test_gradients_are_those_of_the_blocks_composed_by_hand_and_none_elsewhere(kind):
    head = make(kind)
    features, task, routes = (each[:5] for each in samples(head))
    features.requires_grad_()
    used = [by_hand(head, kind, x, p) for x, p in zip(features, routes.tolist(), strict=True)]
    parameters = list(dict.fromkeys(each for _, own in used for each in own))
    loss = torch.stack([x for x, _ in used]).square().sum()
    expected = torch.autograd.grad(loss, [features, *parameters])
    scores(head, features, task, routes).square().sum().backward()
    assert_close((features.grad, *(each.grad for each in parameters)), expected)
    others = set(head.parameters()) - set(parameters)
    assert others
    assert all(each.grad is None for each in others)


def test_a_single_route_reaches_no_other_blocks(kind):
    head = make(kind)
    features, task, routes = (each[:1] for each in samples(head))
    scores(head, features, task, routes).sum().backward()
    reached = [each for each in head.parameters() if each.grad is not None]
    passes = sum(
        chosen(head, kind, depth, action) is None for depth, action in enumerate(routes[0].tolist())
    )
    assert len(reached) <= 2 * (head.depth - passes)
    assert len(reached) >= 2


def test_the_same_routes_give_the_same_scores_and_gradients_bit_for_bit(kind):
    found = []
    for _ in range(2):
        head = make(kind)
        result = scores(head, *samples(head))
        result.square().sum().backward()
        found.append([result, *(each.grad for each in head.parameters())])
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


def test_pass_everywhere_leaves_the_classifier_alone():
    for kind in ("passes", "recursive"):
        head = make(kind)
        features, task, routes = samples(head)
        routes[:, :-1] = head.actions - 1
        expected = torch.stack(
            [head.layers[-1][b](x) for x, b in zip(features, routes[:, -1].tolist(), strict=True)]
        )
        assert_close(scores(head, features, task, routes), expected)
        for depth in range(head.depth - 1):
            assert torch.equal(head.layer(depth, features, task, routes[:, depth]), features)


def test_one_block_a_layer_is_a_plain_network():
    head = Routed(HeadSizes(features=7, classes=5, tasks=4, width=6, blocks=1)).double()
    features, task, routes = samples(head)
    plain = nn.Sequential(*(next(layer.children()) for layer in head.layers))
    assert head.actions == 1
    assert torch.equal(scores(head, features, task, routes), plain(features))


def test_a_pooled_block_may_be_used_again():
    head = make("recursive")
    features, task, routes = samples(head)
    routes[:] = torch.tensor([2, 2, 2, 1])
    x = features
    for _ in range(3):
        x = head.layers[0][2](x)
    assert torch.equal(scores(head, features, task, routes), head.layers[1][1](x))


def test_actions_that_are_allowed_are_those_with_matching_dimensions():
    assert make("plain").allowed.tolist() == [[True] * 4] * 3
    assert make("passes").allowed.tolist() == [[True] * 5] * 2 + [[True] * 4 + [False]]
    pool = 3 * 3
    expected = [[True] * (pool + 1)] * 3 + [[True] * 3 + [False] * (pool - 2)]
    assert make("recursive").allowed.tolist() == expected


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_rows_go_to_their_blocks_in_one_call_each(rows):
    rng = np.random.default_rng(rows)
    calls: Counter[int] = Counter()
    linears = [nn.Linear(4, 4).double() for _ in range(5)]
    for index, linear in enumerate(linears):
        linear.register_forward_hook(
            lambda module, inputs, output, index=index: calls.update([index])
        )
    blocks = [*linears, PASS]
    choice, x = (
        torch.from_numpy(rng.choice([0, 2, 5], rows)),
        torch.from_numpy(rng.random((rows, 4))),
    )
    found = route(blocks, choice, x)
    assert set(calls) == {0, 2} & set(choice.tolist())
    assert all(count == 1 for count in calls.values())
    expected = [r if c == 5 else linears[c](r) for r, c in zip(x, choice.tolist(), strict=True)]
    assert_close(found, torch.stack(expected))


@pytest.mark.parametrize("count", [5, 10, 20, 40])
def test_a_sample_passes_as_many_blocks_as_layers_whatever_there_is_to_choose_from(count):
    head = Routed(HeadSizes(features=3, classes=5, tasks=count, width=3)).double()
    rows: Counter[nn.Module] = Counter()
    calls: Counter[nn.Module] = Counter()

    def counted(module, inputs, output):
        rows[module] += len(output)
        calls[module] += 1

    for module in head.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(counted)
    features, task, routes = samples(head, count=64)
    scores(head, features, task, routes)
    assert sum(rows.values()) == 3 * 64
    assert set(calls.values()) == {1}
    assert len(calls) == sum(len(routes[:, depth].unique()) for depth in range(3))


@pytest.mark.parametrize("recursive", [False, True])
def test_skipping_layers_of_other_widths_is_refused(recursive):
    form = HeadSizes(features=48, classes=5, tasks=4, passes=not recursive)
    with pytest.raises(ValueError, match=r"not 128 for 48 features; `width=48` would do"):
        Routed(form, recursive)


@pytest.mark.parametrize("action", [9, -1, [0, 1, 9, 7], np.array([[3, 0]]), 10**12])
def test_actions_that_do_not_fit_the_depth_are_refused(action):
    head = make("recursive")
    with pytest.raises(ValueError, match=r"depth 3 must be one of the integers \[0, 1, 2\], not"):
        check_actions(head, 3, action)


@pytest.mark.parametrize("action", [0.0, True, "a", [0.5, 1.0]])
def test_actions_that_are_no_integers_are_refused(action):
    with pytest.raises(ValueError, match="`action` at depth 0 must be one of the integers"):
        check_actions(make("plain"), 0, action)


def test_actions_that_are_allowed_are_taken(kind):
    head = make(kind)
    assert isinstance(head, Head)
    for depth, row in enumerate(head.allowed):
        check_actions(head, depth, np.flatnonzero(row))
        check_actions(head, depth, np.uint8(0))


class Untouchable(nn.Module):
    def forward(self, images):
        raise AssertionError("something was computed")


def refused(message, **changes):
    head = make("passes")
    features, task, routes = samples(head, count=4)
    given = {"images": features[:, :, None, None], "task": task, "routes": routes} | changes
    with pytest.raises(ValueError, match=message):
        RoutingNet(Untouchable(), head)(**given)


def test_a_network_refuses_what_it_does_not_know_before_it_computes():
    refused("unknown task 4 in `task`", task=torch.tensor([0, 1, 4, 2]))
    refused("unknown task -1 in `task`", task=torch.tensor([0, 1, -1, 2]))
    refused(
        r"`task` must be of the shape \(4,\) and .*, not \(3,\) and", task=torch.tensor([0, 1, 2])
    )
    refused(r"`routes` must be of the shape \(4, 3\)", routes=torch.zeros(4, 2, dtype=torch.long))
    refused(r"`routes` must be of the shape", routes=torch.zeros(3, 3, dtype=torch.long))
    refused(r"and torch.int64, not .* and torch.int32", task=torch.zeros(4, dtype=torch.int32))
    wrong = torch.zeros(4, 3, dtype=torch.long)
    wrong[2, 2] = 4
    refused(r"depth 2 must be one of the integers \[0, 1, 2, 3\], not 4", routes=wrong)


def test_routing_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one row"):
        route([PASS], torch.zeros(0, dtype=torch.long), torch.zeros(0, 3))


def test_a_block_ends_in_relu_but_for_the_last_layers():
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    hidden, last = block(3, 8, last=False), block(3, 8, last=True)
    assert_close(hidden(x), functional.linear(x, *hidden.parameters()).clamp(min=0))
    assert_close(last(x), functional.linear(x, *last.parameters()))


def test_trunk_is_four_stages_of_convolution_norm_relu_and_pooling():
    trunk = SimpleConv(3, filters=8).double()
    images = torch.rand(5, 3, 37, 50, generator=torch.Generator().manual_seed(0)).double()
    x, parameters = images, list(trunk.parameters())
    for stage in range(4):
        weight, bias, scale, shift = parameters[4 * stage : 4 * stage + 4]
        x = functional.conv2d(x, weight.contiguous(), bias, padding=1)
        x = functional.batch_norm(x, None, None, scale, shift, training=True)
        x = functional.max_pool2d(functional.relu(x), 2)
    assert_close(trunk(images), x.flatten(1))
    assert x.flatten(1).shape[1] == SimpleConv.features(37, 50, filters=8)


def test_trunk_has_the_published_size():
    trunk = SimpleConv(3)
    assert sum(p.numel() for p in trunk.parameters()) == 896 + 3 * 9248 + 4 * 64
    assert SimpleConv.features(32, 32) == 128
    assert SimpleConv.features(84, 84) == 800


def test_trunk_refuses_images_that_pooling_would_lose():
    with pytest.raises(ValueError, match="at least 16 x 16 pixels, not 32 x 15"):
        SimpleConv.features(32, 15)
    with pytest.raises(ValueError, match="at least 16 x 16 pixels, not 8 x 32"):
        SimpleConv(1)(torch.zeros(2, 1, 8, 32))
    with pytest.raises(ValueError, match="`channels` must be an integer of at least 1, not 0"):
        SimpleConv(0)


@pytest.mark.parametrize("field", ["features", "classes", "tasks", "width", "blocks", "depth"])
def test_a_form_names_the_field_that_is_wrong(field):
    sizes = {"features": 3, "classes": 2, "tasks": 2} | {field: 0}
    with pytest.raises(ValueError, match=f"`{field}` must be an integer of at least 1, not 0"):
        HeadSizes(**sizes)
