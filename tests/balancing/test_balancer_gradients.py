"""Gradient methods, alone and under loss methods, in a loop of one's own."""

import copy
import gc
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from mtlgym.balancing import GRADIENT_METHODS, LOSS_METHODS, Balancer, gradient_method
from mtlgym.balancing.jacobian.vjp import UnsoundGradientError
from tests.balancing.jacobian.shared_models import build, jacobian, losses

LOSS_SPECS = {"fixed": "fixed:weights=[1,2,3]"}
EXACT = ("loop", "batched", "heads_loop", "heads_batched", "layers", "threads")


def grads(model):
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def stepped(spec, model, x, **options):
    """The balancer after one backward pass, and the weights it gave."""
    options = {"shared": model.trunk, "heads": list(model.heads), "strategy": "loop", **options}
    balancer = Balancer(spec, steps_per_epoch=2, **options)
    return balancer, balancer.backward(losses(model, x))


@pytest.mark.parametrize("head_weighting", [None, "unit", "weighted"])
@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_algorithm_three_is_what_the_paper_writes(name, head_weighting):
    """The method receives the gradients of w_t log L_t; heads follow the weighted losses."""
    model, x = build("dense")
    stepped(f"fixed:weights=[1,2,3]+si+{name}", model, x, head_weighting=head_weighting)
    twin, _ = build("dense")
    values = losses(twin, x).detach()
    twin, _ = build("dense")
    rows = torch.tensor([1.0, 2.0, 3.0])[:, None] / values[:, None]
    rows = rows * jacobian(twin, x, list(twin.trunk.parameters()))
    method = gradient_method(name)
    if method.needs_jacobian:
        direction, weights = method(rows, values), torch.ones(3).double()
    else:
        weights = method(rows @ rows.T, values)
        direction = weights @ rows
    trunk = torch.cat([p.grad.flatten() for p in model.trunk.parameters()])
    assert_close(trunk, direction, rtol=1e-7, atol=1e-9)
    kind = head_weighting or method.head_weighting
    units = weights if kind == "weighted" else torch.ones(3).double()
    for head, unit, weight, value in zip(model.heads, units, (1, 2, 3), values, strict=True):
        twin, _ = build("dense")
        own = losses(twin, x)
        task = int((values == value).nonzero())
        wanted = torch.autograd.grad(
            own[task] * weight / value, list(twin.heads[task].parameters())
        )
        for parameter, grad in zip(head.parameters(), wanted, strict=True):
            assert_close(parameter.grad, unit * grad, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("loss", LOSS_METHODS)
@pytest.mark.parametrize("gradient", ["nash", "pcgrad", "graddrop"])
def test_any_loss_method_goes_with_any_gradient_method(loss, gradient):
    model, x = build("dense", torch.float32)
    balancer, weights = stepped(f"{LOSS_SPECS.get(loss, loss)}+{gradient}", model, x)
    assert weights.shape == (3,)
    assert torch.isfinite(grads(model)).all()
    assert f"{type(GRADIENT_METHODS[gradient]()).__name__}(" in repr(balancer)


@pytest.mark.parametrize("model_name", ["dense", "recurrent", "repeated", "segnet"])
@pytest.mark.parametrize("spec", ["nash", "igbv1+cagrad"])
def test_every_strategy_and_every_form_of_shared_trains_alike(spec, model_name):
    found = []
    for strategy in EXACT:
        for form in ("module", "module and heads", "parameters"):
            model, x = build(model_name)
            shared = model.trunk.parameters() if form == "parameters" else model.trunk
            heads = list(model.heads) if form == "module and heads" else None
            stepped(spec, model, x, shared=shared, heads=heads, strategy=strategy)
            found.append(grads(model))
    for other in found[1:]:
        assert_close(other, found[0], rtol=1e-7, atol=1e-10)


def test_auto_times_once_and_then_stays():
    model, x = build("dense")
    balancer, _ = stepped("mgda", model, x, strategy="auto")
    chosen = balancer.gradients.strategy
    assert chosen in EXACT
    balancer.backward(losses(model, x))
    assert balancer.gradients.strategy == chosen
    balancer, _ = stepped("graddrop", build("dense")[0], x, strategy="auto")
    assert balancer.gradients.strategy != "layers"  # which makes no Jacobian


def test_gradients_accumulate_over_calls():
    model, x = build("dense")
    balancer, _ = stepped("nash", model, x)
    first = grads(model)
    twin = copy.deepcopy(model)
    balancer.backward(losses(model, x / 2))
    for parameter in twin.parameters():
        parameter.grad = None
    other = Balancer("nash", shared=twin.trunk, strategy="loop")
    other.backward(losses(twin, x / 2))
    assert_close(grads(model), first + grads(twin))


def test_a_head_that_two_tasks_share_follows_the_sum_of_both():
    model, x = build("dense")
    model.heads[1] = model.heads[0]
    balancer, _ = stepped("mgda", model, x, head_weighting="weighted")
    weights = balancer.gradients.weights
    twin, _ = build("dense")
    twin.heads[1] = twin.heads[0]
    wanted = torch.autograd.grad((weights * losses(twin, x)).sum(), twin.heads[0].weight)[0]
    assert_close(model.heads[0].weight.grad, wanted)


def test_a_parameter_that_no_loss_reaches_gets_no_gradient_or_a_zero_one():
    model, x = build("repeated")
    stepped("nash", model, x)
    assert not model.trunk.unused.weight.grad.any()
    model, x = build("dense")
    model.trunk[0].bias.requires_grad = False
    stepped("nash", model, x)
    assert model.trunk[0].bias.grad is None


def test_channels_last_parameters_get_gradients_of_their_layout():
    model, x = build("segnet", torch.float32)
    model = model.to(memory_format=torch.channels_last)
    stepped("nash", model, x)
    weight = model.trunk.encoder[1][0].weight
    assert weight.grad.stride() == weight.stride()
    plain, _ = build("segnet", torch.float32)
    stepped("nash", plain, x)
    assert_close(weight.grad, plain.trunk.encoder[1][0].weight.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_a_balancer_goes_on_from_a_saved_state_as_if_never_stopped(name):
    spec = f"rlw+{name}"
    model, x = build("dense")
    balancer, _ = stepped(spec, model, x)
    saved = balancer.state_dict()
    weights = model.state_dict()
    model.zero_grad()
    balancer.backward(losses(model, x))
    resumed_model, _ = build("dense")
    resumed_model.load_state_dict(weights)
    resumed = Balancer(
        spec,
        shared=resumed_model.trunk,
        heads=list(resumed_model.heads),
        strategy="loop",
        steps_per_epoch=2,
    )
    resumed.load_state_dict(saved)
    for norm, other in zip(model.trunk.modules(), resumed_model.trunk.modules(), strict=True):
        if isinstance(norm, torch.nn.BatchNorm1d):
            other.load_state_dict(norm.state_dict())
    resumed.backward(losses(resumed_model, x))
    assert_close(grads(resumed_model), grads(model), rtol=0, atol=0)


def test_a_chosen_strategy_is_part_of_the_state():
    model, x = build("dense")
    balancer, _ = stepped("nash", model, x, strategy="auto")
    resumed = Balancer("nash", shared=model.trunk, heads=list(model.heads))
    resumed.load_state_dict(balancer.state_dict())
    assert resumed.gradients
    assert resumed.gradients.strategy == balancer.gradients.strategy


def test_the_state_of_another_gradient_method_is_refused_and_changes_nothing():
    model, x = build("dense")
    balancer, _ = stepped("rlw+pcgrad", model, x)
    before = repr(balancer.state_dict())
    other, _ = stepped("rlw+gradnorm", build("dense")[0], x)
    with pytest.raises(ValueError, match="`state` of PCGrad must have the keys"):
        balancer.load_state_dict(other.state_dict())
    assert repr(balancer.state_dict()) == before


def test_gradients_that_are_not_finite_are_refused_by_task_and_change_nothing():
    model, x = build("dense")
    balancer, _ = stepped("pcgrad", model, x)
    before, held = repr(balancer.state_dict()), grads(model)
    values = losses(model, x)
    steep = (model.trunk[0].weight.sum() * 0).abs().sqrt()  # 0, with an infinite derivative
    with pytest.raises(UnsoundGradientError, match="the gradient of task 1 is not finite"):
        balancer.backward(torch.stack([values[0], values[1] + steep, values[2]]))
    assert repr(balancer.state_dict()) == before
    assert torch.equal(grads(model), held)


def test_a_zero_gradient_trains_the_other_tasks():
    for name in GRADIENT_METHODS:
        model, x = build("dense")
        values = losses(model, x)
        balancer = Balancer(name, shared=model.trunk, strategy="loop")
        balancer.backward(torch.stack([values[0], values[1], 0 * values[2] + 1]))
        assert torch.isfinite(grads(model)).all()


def test_one_task_is_trained_by_every_method():
    for name in GRADIENT_METHODS:
        model, x = build("dense")
        Balancer(name, shared=model.trunk, strategy="loop").backward(losses(model, x)[:1])
        own, _ = build("dense")
        wanted = jacobian(own, x, list(own.trunk.parameters()))[0]
        found = torch.cat([p.grad.flatten() for p in model.trunk.parameters()])
        assert torch.cosine_similarity(found, wanted, dim=0) > 1 - 1e-9


BAD_ARGUMENTS = [
    ({"shared": None}, "needs `shared`, the parameters that all tasks share"),
    ({"shared": []}, "`shared` must hold at least one parameter"),
    ({"shared": torch.nn.ReLU()}, "`shared` must hold at least one parameter"),
    ({"strategy": "lop"}, "unknown strategy 'lop'. Did you mean 'loop'"),
    ({"head_weighting": "wieghted"}, "unknown `head_weighting` 'wieghted'. Did you mean"),
]


@pytest.mark.parametrize(("options", "message"), BAD_ARGUMENTS)
def test_arguments_that_cannot_be_used_are_refused(options, message):
    model, _ = build("dense")
    with pytest.raises(ValueError, match=message):
        Balancer("nash", **{"shared": model.trunk, **options})


def test_shared_parameters_of_another_model_are_refused_and_change_nothing():
    model, x = build("dense")
    other, _ = build("dense")
    balancer = Balancer("pcgrad", shared=list(other.trunk.parameters()), strategy="loop")
    before = repr(balancer.state_dict())
    with pytest.raises(ValueError, match="no parameter in `shared` is in the graph"):
        balancer.backward(losses(model, x))
    assert repr(balancer.state_dict()) == before


def test_an_instance_of_a_gradient_method_is_used_for_its_settings():
    model, x = build("dense")
    method = GRADIENT_METHODS["cagrad"](c=0.4)
    balancer, _ = stepped(method, model, x)
    assert balancer.gradients.method == method
    first = grads(model)
    model, x = build("dense")
    stepped("cagrad:c=0.4", model, x)
    assert torch.equal(grads(model), first)


def test_a_torchjd_aggregator_plugs_in():
    pytest.importorskip("torchjd")
    model, x = build("dense")
    stepped("torchjd:UPGrad", model, x)
    first = grads(model)
    model, x = build("dense")
    stepped("upgrad", model, x)
    # torchjd adds 1e-4 to the Gramian's diagonal, relative to its trace
    assert torch.cosine_similarity(first, grads(model), dim=0) > 0.9999
    with pytest.raises(ValueError, match="Did you mean 'UPGrad'"):
        Balancer("torchjd:UPGrd", shared=model.trunk)


def unlike(kind, model, x):
    """Losses whose tasks do not part into the heads in order."""
    features = model.trunk.eval()(x)
    outputs = [head(features) for head in model.heads]
    values = [(out - task).square().mean() for task, out in enumerate(outputs)]
    if kind == "another task's head":
        values[1] = values[1] + (outputs[1] - outputs[0]).square().mean()
    elif kind == "heads in another order":
        values = [values[1], values[0], values[2]]
    elif kind == "another task's weights":
        values[0] = values[0] + model.heads[1].weight.square().sum()
    elif kind == "a layer's weight by itself":
        values[0] = values[0] + model.trunk[0].weight.square().sum()
    return torch.stack(values)


UNLIKE = [
    ("another task's head", "heads_loop"),
    ("another task's head", "layers"),
    ("heads in another order", "heads_batched"),
    ("another task's weights", "heads_loop"),
    ("a layer's weight by itself", "layers"),
]


@pytest.mark.parametrize(("kind", "strategy"), UNLIKE)
def test_a_strategy_that_does_not_fit_the_model_is_refused_and_auto_does_without(kind, strategy):
    model, x = build("dense")
    options = {"shared": model.trunk, "heads": list(model.heads), "head_weighting": "weighted"}
    balancer = Balancer("mgda", strategy=strategy, **options)
    before = repr(balancer.state_dict())
    with pytest.raises(ValueError, match=f"strategy '{strategy}' does not give the gradients"):
        balancer.backward(unlike(kind, model, x))
    assert repr(balancer.state_dict()) == before
    assert all(parameter.grad is None for parameter in model.parameters())
    Balancer("mgda", **options).backward(unlike(kind, model, x))
    found = grads(model)
    twin, _ = build("dense")
    Balancer("mgda", shared=twin.trunk, strategy="loop", head_weighting="weighted").backward(
        unlike(kind, twin, x)
    )
    assert_close(found, grads(twin), rtol=1e-7, atol=1e-10)


def test_a_parameter_that_is_named_twice_counts_once():
    model, x = build("dense")
    parameters = list(model.trunk.parameters())
    stepped("mgda", model, x, shared=parameters + parameters, heads=None)
    twin, _ = build("dense")
    stepped("mgda", twin, x)
    assert_close(grads(model), grads(twin))


def test_a_failed_call_and_passes_without_backward_leave_the_next_one_sound():
    model, x = build("dense")
    balancer = Balancer("mgda", shared=model.trunk, heads=list(model.heads), strategy="features")
    with pytest.raises(ValueError, match="must be finite"):
        balancer.backward(losses(model, x) * float("nan"))
    balancer.backward(losses(model, x))
    for _ in range(200):
        model.trunk(x)
    hooks: Any = balancer.gradients and balancer.gradients._hooks
    assert len(hooks._outputs) <= 64


def test_a_balancer_that_is_gone_leaves_no_hooks():
    model, x = build("dense")
    balancer, _ = stepped("mgda", model, x, strategy="heads_loop")
    assert model.trunk._forward_hooks
    del balancer
    gc.collect()
    assert not model.trunk._forward_hooks
    assert not model.heads[0]._forward_pre_hooks


def test_heads_that_are_not_one_a_task_are_refused():
    model, x = build("dense")
    balancer = Balancer("mgda", shared=model.trunk, heads=list(model.heads), strategy="heads_loop")
    with pytest.raises(ValueError, match="`heads` must be one for each of the 2 tasks, not 3"):
        balancer.backward(losses(model, x)[:2])
    Balancer("mgda", shared=model.trunk, heads=model.heads).backward(losses(model, x))
    with pytest.raises(ValueError, match="`heads` must be a list of modules, one a task, not Seq"):
        Balancer("mgda", shared=model.trunk, heads=nn.Sequential(model.heads[0]))
    with pytest.raises(ValueError, match="`heads` needs the module as `shared`"):
        Balancer("mgda", shared=list(model.trunk.parameters()), heads=list(model.heads))
