import copy
import pickle

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from mtlgym.balancing.jacobian import autotune
from mtlgym.balancing.jacobian.hooks import TrunkHooks
from mtlgym.balancing.jacobian.strategies import STRATEGIES
from mtlgym.balancing.jacobian.vjp import FromLosses, vjp_source
from tests.balancing.jacobian.shared_models import MODELS, TwoPart, build, jacobian, losses

EXACT = [name for name, plan in STRATEGIES.items() if plan.exact]
SLOPES = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)


def differentiated(strategy, model, x, heads=True):
    """The strategy after its passes, and the hooks."""
    plan = STRATEGIES[strategy]
    hooks = TrunkHooks(model.trunk, list(model.heads) if heads else ())
    with hooks.attached():
        values = losses(model, x)
    gradients = plan.kind(list(model.trunk.parameters()))
    gradients.differentiate(
        vjp_source(values, SLOPES, hooks if plan.from_trunk else None), hooks.calls
    )
    return gradients, hooks


@pytest.mark.parametrize("heads", [True, False])
@pytest.mark.parametrize("model_name", MODELS)
@pytest.mark.parametrize("strategy", EXACT)
def test_every_exact_strategy_gives_the_plain_loops_gradients(strategy, model_name, heads):
    model, x = build(model_name)
    parameters = list(model.trunk.parameters())
    wanted = SLOPES[:, None] * jacobian(model, x, parameters)
    gradients, hooks = differentiated(strategy, model, x, heads)
    assert hooks.all_aliased == heads
    assert_close(gradients.gramian(), wanted @ wanted.T, rtol=1e-10, atol=1e-12)
    weights = torch.tensor([0.3, 1.0, -2.0], dtype=torch.float64)
    combined = torch.cat([part.flatten() for part in gradients.combine(weights)])
    assert_close(combined, weights @ wanted, rtol=1e-10, atol=1e-12)
    blocks = gradients.blocks()
    assert bool(blocks) == STRATEGIES[strategy].jacobian
    if blocks:
        assert_close(torch.cat(blocks, dim=1), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("model_name", MODELS)
def test_feature_gradients_are_approximate_in_the_gramian_and_exact_in_the_sum(model_name):
    model, x = build(model_name)
    wanted = SLOPES[:, None] * jacobian(model, x, list(model.trunk.parameters()))
    gradients, hooks = differentiated("features", model, x)
    with hooks.attached():
        values = losses(model, x)
    rows = torch.stack(
        [torch.autograd.grad(v, [hooks.features], retain_graph=True)[0].flatten() for v in values]
    )
    rows = SLOPES[:, None] * rows
    assert_close(gradients.gramian(), rows @ rows.T)
    weights = torch.tensor([0.3, 1.0, -2.0], dtype=torch.float64)
    combined = torch.cat([part.flatten() for part in gradients.combine(weights)])
    assert_close(combined, weights @ wanted, rtol=1e-10, atol=1e-12)


def test_running_statistics_move_once_whatever_the_strategy():
    counts = []
    for strategy in STRATEGIES:
        model, x = build("dense")
        differentiated(strategy, model, x)
        counts.append(int(model.trunk[1].num_batches_tracked))
    assert counts == [1] * len(STRATEGIES)


def test_the_loop_writes_into_one_buffer_that_stays():
    model, x = build("dense")
    gradients, _ = differentiated("heads_loop", model, x)
    place = gradients.blocks()[0].data_ptr()
    gradients.differentiate(vjp_source(losses(model, x), SLOPES, None), ())
    assert gradients.blocks()[0].data_ptr() == place


class Counting(torch.autograd.Function):
    """The identity, which counts its backward passes."""

    passes = 0

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        Counting.passes += 1
        return grad


class Counted(nn.Module):
    def forward(self, x):
        return Counting.apply(x)


def test_a_tasks_pass_leaves_the_other_tasks_heads_alone():
    model, x = build("dense")
    model.heads = nn.ModuleList(nn.Sequential(Counted(), head) for head in model.heads)
    for strategy, passes in (("loop", 3), ("heads_loop", 3)):
        Counting.passes = 0
        differentiated(strategy, model, x)
        assert Counting.passes == passes


def test_a_head_that_is_shared_or_called_apart_is_no_branch():
    model, x = build("dense")
    hooks = TrunkHooks(model.trunk, list(model.heads))
    with hooks.attached():
        features = model.trunk(x)
        for head in model.heads:
            head(features * 1)  # not the trunk's own output
    assert not hooks.all_aliased
    assert hooks.features is features
    with hooks.attached():
        features = model.trunk(x)
        for head in (*model.heads, model.heads[0]):
            head(features)
    assert not hooks.all_aliased


def test_a_trunk_that_is_called_twice_has_no_one_output():
    model, x = build("dense")
    hooks = TrunkHooks(model.trunk)
    with hooks.attached():
        values = losses(model, x) + losses(model, 2 * x)
    assert hooks.features is None
    gradients = STRATEGIES["heads_loop"].kind(list(model.trunk.parameters()))
    gradients.differentiate(vjp_source(values, SLOPES, hooks), hooks.calls)
    both = jacobian(model, x, list(model.trunk.parameters()))
    both = SLOPES[:, None] * (both + jacobian(model, 2 * x, list(model.trunk.parameters())))
    assert_close(gradients.gramian(), both @ both.T)
    layers = STRATEGIES["layers"].kind(list(model.trunk.parameters()))
    values = losses(model, x)
    with hooks.attached():
        values = losses(model, x) + losses(model, 2 * x)
    layers.differentiate(vjp_source(values, SLOPES, hooks), hooks.calls)
    assert_close(layers.gramian(), both @ both.T)


def test_nothing_is_noted_without_gradients_or_outside():
    model, x = build("dense")
    hooks = TrunkHooks(model.trunk, list(model.heads))
    with hooks.attached(), torch.no_grad():
        model(x)
    assert (hooks.features, hooks.calls) == (None, [])
    model(x)
    assert hooks.features is None


def test_a_model_under_a_tap_can_be_copied_and_pickled():
    model, x = build("dense")
    hooks = TrunkHooks(model.trunk, list(model.heads))
    hooks.attach()
    losses(model, x)
    twin, again = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    assert_close(losses(again, x), losses(twin, x))
    assert len(hooks.calls) == 2 * 3 - 3  # the copies' passes are noted elsewhere


def test_parameters_that_are_not_in_the_graph_are_refused():
    model, x = build("dense")
    for strategy in STRATEGIES:
        plan = STRATEGIES[strategy]
        hooks = TrunkHooks(model.trunk, list(model.heads))
        with hooks.attached():
            values = losses(model, x)
        gradients = plan.kind([nn.Parameter(torch.zeros(2))])
        source = vjp_source(values, SLOPES, hooks if plan.from_trunk else None)
        with pytest.raises(ValueError, match="no parameter in `shared` is in the graph"):
            gradients.differentiate(source, ())
            gradients.combine(SLOPES)


def test_losses_of_another_forward_pass_are_gone_back_from_themselves():
    model, x = build("dense")
    hooks = TrunkHooks(model.trunk, list(model.heads))
    values = losses(model, x)
    with hooks.attached():
        losses(model, x)
    assert isinstance(vjp_source(values, SLOPES, hooks), FromLosses)
    apart = torch.stack([head(torch.ones(1, 6).double()).sum() for head in model.heads])
    with pytest.raises(ValueError, match="did not come from the latest output"):
        vjp_source(apart, SLOPES, hooks)


@pytest.mark.parametrize("jacobian_needed", [False, True])
def test_the_choice_is_an_exact_strategy_that_agrees_with_the_loop(jacobian_needed, monkeypatch):
    model, x = build("dense")
    hooks = TrunkHooks(model.trunk, list(model.heads))
    with hooks.attached():
        values = losses(model, x)
    tried = []

    def note(found, reference):
        tried.append(found)
        return True

    monkeypatch.setattr(autotune, "_same_gramian", note)
    arguments = (list(model.trunk.parameters()), list(model.heads.parameters()), values, SLOPES)
    name = autotune.fastest(*arguments, hooks, jacobian=jacobian_needed)
    assert STRATEGIES[name].exact
    assert STRATEGIES[name].jacobian >= jacobian_needed
    assert len(tried) == (3 if jacobian_needed else 4)
    assert all(torch.allclose(found, tried[0]) for found in tried)
    # the graph is kept for the step itself
    assert values.sum().backward() is None


def test_a_strategy_that_does_not_agree_or_cannot_run_is_not_chosen(monkeypatch):
    model, x = build("dense")
    values = losses(model, x)
    arguments: tuple = (list(model.trunk.parameters()), [], values, SLOPES, None)
    monkeypatch.setattr(autotune, "_same_gramian", lambda found, reference: False)
    assert autotune.fastest(*arguments) == "loop"

    def fails(self, source, calls):
        raise RuntimeError("no vectorised pass")

    monkeypatch.undo()
    monkeypatch.setattr(STRATEGIES["batched"].kind, "differentiate", fails)
    assert autotune.fastest(*arguments) == "loop"


def test_half_precision_autocast_gives_float32_gradients_near_the_exact_ones():
    model, x = build("dense", torch.float32)
    wanted = jacobian(model, x, list(model.trunk.parameters()))
    for strategy in EXACT:
        hooks = TrunkHooks(model.trunk, list(model.heads))
        with hooks.attached(), torch.autocast("cpu", torch.bfloat16):
            values = losses(model, x)
        plan = STRATEGIES[strategy]
        gradients = plan.kind(list(model.trunk.parameters()))
        source = vjp_source(values, torch.ones(3), hooks if plan.from_trunk else None)
        gradients.differentiate(source, hooks.calls)
        combined = torch.cat([part.flatten() for part in gradients.combine(torch.ones(3))])
        assert combined.dtype is torch.float32
        assert torch.cosine_similarity(combined, wanted.sum(dim=0), dim=0) > 0.999


def test_many_small_trainings_can_still_be_vectorised():
    model, x = build("dense")
    model.eval()
    state = dict(model.named_parameters())
    stacked = {name: torch.stack([value, 2 * value]) for name, value in state.items()}

    def run(parameters):
        return torch.stack(torch.func.functional_call(model, parameters, (x,)))

    buffers = dict(model.named_buffers())
    both = torch.func.vmap(lambda parameters: run({**parameters, **buffers}))(stacked)
    assert_close(both[0], torch.stack(model(x)))


def test_the_oracle_itself_agrees_with_torchs_jacobian():
    model, x = build("repeated")
    model.eval()
    names = [name for name, _ in model.trunk.named_parameters()]
    rest = {f"heads.{n}": p for n, p in model.heads.named_parameters()}

    def run(*parameters):
        given = {f"trunk.{n}": p for n, p in zip(names, parameters, strict=True)} | rest
        out = torch.func.functional_call(model, given, (x,))
        return torch.stack([(o - y - 1).square().mean() for y, o in enumerate(out)])

    rows = torch.autograd.functional.jacobian(run, tuple(model.trunk.parameters()))
    flat = torch.cat([row.reshape(3, -1) for row in rows], dim=1)
    assert_close(jacobian(model, x, list(model.trunk.parameters())), flat)
    assert isinstance(model, TwoPart)


def test_threads_leave_the_number_of_threads_and_the_bits_as_they_are():
    model, x = build("segnet", torch.float32)
    hooks = TrunkHooks(model.trunk, list(model.heads))
    with hooks.attached():
        values = losses(model, x)
    source = vjp_source(values, torch.ones(3), hooks)
    rows = []
    before = torch.get_num_threads()
    try:
        for strategy, threads in (("loop", 1), ("threads", 2), ("threads", 3)):
            torch.set_num_threads(threads)
            gradients = STRATEGIES[strategy].kind(list(model.trunk.parameters()))
            gradients.differentiate(source, ())
            assert torch.get_num_threads() == threads
            rows.append(gradients.blocks()[0].clone())
    finally:
        torch.set_num_threads(before)
    assert torch.equal(rows[1], rows[0])
    assert torch.equal(rows[2], rows[0])


def penalised(model, x):
    """Losses that depend on the trunk's parameters by another way than its output."""
    values = losses(model, x)
    return values + torch.stack([model.trunk[0].weight.square().sum(), values[0] * 0, x.sum() * 0])


def skipping(model, x):
    """Losses that depend on the trunk's output by another way than the heads."""
    features = model.trunk.eval()(x)
    values = torch.stack([(head(features) - 1).square().mean() for head in model.heads])
    return values + features.square().mean() * torch.tensor([1.0, 0.0, 2.0])


def writing(model, x):
    """Losses of which the last but one is computed from an output that is changed in place."""
    features = model.trunk.eval()(x)
    first = model.heads[0](features).mean()
    features += 1
    rest = [(head(features) - 1).square().mean() for head in (model.heads[1], model.heads[2])]
    return torch.stack([first + features.square().mean(), *rest])


@pytest.mark.parametrize("strategy", EXACT)
@pytest.mark.parametrize("objective", [penalised, skipping, writing])
def test_ways_around_the_trunks_output_are_seen(objective, strategy):
    model, x = build("dense")
    if objective is writing:
        model.heads[0] = nn.Identity()
    twin = copy.deepcopy(model)
    parameters = list(model.trunk.parameters())
    values = objective(model, x)
    grads = [torch.autograd.grad(v, parameters, retain_graph=True) for v in values]
    wanted = torch.stack([torch.cat([g.flatten() for g in row]) for row in grads])
    model = twin
    hooks = TrunkHooks(model.trunk, list(model.heads))
    with hooks.attached():
        values = objective(model, x)
    plan = STRATEGIES[strategy]
    gradients = plan.kind(list(model.trunk.parameters()))
    source = vjp_source(values, torch.ones(3).double(), hooks if plan.from_trunk else None)
    if strategy == "layers" and objective is penalised:
        return  # exact only where calls alone use a linear layer's weight, as it says
    gradients.differentiate(source, hooks.calls)
    assert_close(gradients.gramian(), wanted @ wanted.T, rtol=1e-9, atol=1e-12)
