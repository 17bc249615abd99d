"""The models of variational multi-task learning."""

import copy

import pytest
import torch
from torch.func import functional_call
from torch.nn import functional
from torch.testing import assert_close

from mtlgym.models import gaussian
from mtlgym.models.annealing import Annealing
from mtlgym.models.relatedness import PRIORS
from mtlgym.models.vmtl import VMTL
from mtlgym.models.vmtl_design import MODELS, Design
from tests.problems import toy_domains as toy

HEAVY = Annealing(kl_z=0.1, kl_w=0.1)


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("name", MODELS)
def test_every_model_trains_with_every_prior(name, prior):
    model, (x, labels) = toy.model(name, prior=prior, annealing=HEAVY), toy.batch()
    terms = model(x, labels)
    assert terms.loss.shape == (3,)
    assert (terms.loss > 0).all()
    terms.loss.sum().backward()
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, key
            assert parameter.grad.isfinite().all(), key


@pytest.mark.parametrize("name", MODELS)
def test_a_task_alone_has_the_loss_that_it_has_beside_the_others(name):
    model, (x, labels) = toy.model(name, annealing=HEAVY, prior="mean"), toy.batch(each=40)
    both = model(x, labels)
    for task in range(3):
        own = slice(task, task + 1)
        alone = model(x[own], labels[own], tasks=own)
        assert_close(alone.kl_z[0], both.kl_z[task])
        assert_close(alone.kl_w[0], both.kl_w[task])
        assert_close(alone.nll[0], both.nll[task], rtol=0.05, atol=0.02)


@pytest.mark.parametrize("encoder", ["mlp", "bayesian_linear"])
def test_without_spread_and_divergence_vmtl_has_the_loss_of_bmtl(encoder):
    none = Annealing(kl_z=0.0, kl_w=0.0, kl_w_rate=0.0)
    bayes = toy.model("vmtl", annealing=none, encoder=encoder)
    plain = toy.model("bmtl", encoder=encoder)
    own = dict(plain.named_parameters())
    with torch.no_grad():
        for name, parameter in bayes.named_parameters():
            if "rho" in name:
                parameter.fill_(-40.0)
                if name.endswith("weight"):
                    parameter.zero_()
            elif name in own:
                own[name].copy_(parameter)
    x, labels = toy.batch()
    assert_close(bayes(x, labels).loss, plain(x, labels).loss)


def test_no_gradient_flows_into_the_other_tasks_posteriors():
    model, (x, labels) = toy.model("vmtl", annealing=HEAVY), toy.batch()
    terms = model(x, labels)
    classifiers = model.heads["classifiers"]
    for rows in (classifiers.mean.rows, classifiers.rho.rows):
        own, *others = torch.autograd.grad(terms.kl_w[0], list(rows), retain_graph=True)
        assert own.abs().sum() > 0
        assert all((grad == 0).all() for grad in others)


def test_a_tasks_own_posterior_has_no_part_in_its_prior():
    model, (x, labels) = toy.model("vmtl", annealing=HEAVY, prior="mean"), toy.batch()
    w = model.heads["classifiers"](slice(None))
    before = model._prior_w(w, slice(0, 1))
    with torch.no_grad():
        model.heads["classifiers"].mean.rows[0] += 5.0
        model.centres[0] += 5.0
    after = model._prior_w(model.heads["classifiers"](slice(None)), slice(0, 1))
    assert torch.equal(before.mean, after.mean)
    z, _ = model._posteriors(x, slice(None))
    old = toy.model("vmtl", annealing=HEAVY, prior="mean")
    assert_close(model._prior_z(z, labels, None, slice(0, 3)).mean[0], _prior_z(old, z, labels)[0])


def _prior_z(model, z, labels):
    return model._prior_z(z, labels, None, slice(0, 3)).mean


@pytest.mark.parametrize("prior", PRIORS)
def test_priors_are_what_a_loop_over_tasks_and_samples_makes(prior):
    model, (x, labels) = toy.model("vmtl", prior=prior, annealing=HEAVY).eval(), toy.batch()
    z, w = model._posteriors(x, slice(None))
    found = model._prior_z(z, labels, None, slice(None)), model._prior_w(w, slice(None))
    weights = model.weights()
    encoder = model.trunk["encoder"]
    temperature_free = prior in ("mean", "learnable") or weights["z"].numel()
    assert temperature_free
    for task in range(3):
        mean_w = sum(weights["w"][task, i] * w.mean[i] for i in range(3) if i != task)
        assert_close(found[1].mean[task], mean_w)
        for sample, label in enumerate(labels[task]):
            centres = [encoder(model.centres[i, label][None, None], slice(None)) for i in range(3)]
            others = [i for i in range(3) if i != task]
            mean = sum(weights["z"][task, i] * centres[i].mean[0, 0] for i in others)
            squares = [weights["z"][task, i] ** 2 * centres[i].variance[0, 0] for i in others]
            assert_close(found[0].mean[task, sample], mean)
            assert_close(found[0].variance[task, sample], sum(squares) + gaussian.FLOOR)


def test_related_features_take_the_place_of_class_means():
    model, (x, labels) = toy.model("vmtl", annealing=HEAVY, prior="mean"), toy.batch()
    index = labels[:, :, None].expand(3, 8, 3)
    tasks = torch.arange(3).expand(3, 8, 3)
    means = model.centres[tasks, index]  # (chosen, samples, tasks, width)
    assert_close(model(x, labels, means).kl_z, model(x, labels).kl_z)


def test_a_single_task_has_a_standard_prior():
    model, (x, labels) = toy.model("vmtl", tasks=1, annealing=HEAVY), toy.batch(tasks=1)
    assert not model.relatedness
    _, w = model._posteriors(x, slice(None))
    wanted = 0.1 * gaussian.kl(w, gaussian.standard(w)).sum()
    assert_close(model(x, labels).kl_w[0], wanted)
    assert model.weights() == {}


def test_single_task_models_share_nothing():
    for name in ("stl", "vstl"):
        model, (x, labels) = toy.model(name, annealing=HEAVY), toy.batch()
        assert not list(model.trunk.parameters())
        model(x, labels).loss[0].backward()
        for key, parameter in model.named_parameters():
            used = parameter.grad is not None and parameter.grad.abs().sum() > 0
            assert used == key.endswith(".0"), key


def test_amortised_classifiers_do_not_grow_with_tasks_or_classes():
    def count(tasks, classes):
        model = toy.model("vmtl_ac", tasks=tasks, classes=classes)
        return sum(p.numel() for p in model.trunk.parameters()), len(list(model.heads.parameters()))

    assert count(2, 3) == count(5, 9)
    assert count(2, 3)[1] == 0


def test_an_amortised_class_depends_on_its_own_samples_in_any_order():
    found = toy.domains()
    model = toy.model("vmtl_ac")
    splits = toy.make_splits(found, toy.indices(found), toy.scaling("none", ()), attend=False)
    before = model.trunk["classifiers"](splits["train"].centres())
    moved = copy.deepcopy(splits["train"])
    order = torch.randperm(len(moved.labels[0]))
    mixed = [x[order] for x in moved.features], [y[order] for y in moved.labels]
    mixed[0][0][mixed[1][0] == 2] += 1.0  # the samples of one class in one domain
    moved.features, moved.labels = tuple(mixed[0]), tuple(mixed[1])
    after = model.trunk["classifiers"](moved.centres())
    changed = (before.mean - after.mean).abs().amax(dim=2) > 1e-5
    assert changed.nonzero().tolist() == [[0, 2]]


def test_drawing_w_itself_has_the_mean_loss_of_drawing_scores():
    local = toy.model("vmtl", samples=300)
    direct = toy.model("vmtl", samples=300, local=False)
    x, labels = toy.batch()
    assert_close(local(x, labels).nll, direct(x, labels).nll, rtol=0.05, atol=0.01)


def test_the_likelihood_is_that_of_every_pair_of_draws():
    model, (x, labels) = toy.model("vmtl", samples=200), toy.batch(each=1)
    z, w = model._posteriors(x, slice(None))
    scores = torch.einsum("ltnd,mtcd->lmtnc", z.sample(300), w.sample(300))
    wanted = -functional.log_softmax(scores, -1).mean(dim=(0, 1))
    wanted = wanted.gather(2, labels[:, :, None])[..., 0].mean(dim=1)
    assert_close(model(x, labels).nll, wanted, rtol=0.03, atol=0.01)


@pytest.mark.parametrize("prior", ["gumbel", "gumbel_categorical", "learnable"])
def test_tasks_that_share_their_weights_get_larger_learnt_weights(prior):
    points = 2 * torch.randn(4, 8)
    orders = torch.tensor([[0, 1, 2, 3], [0, 1, 2, 3], [1, 2, 3, 0]])  # the third's labels differ
    x = points.repeat(6, 1) + 0.3 * torch.randn(3, 24, 8)
    labels = orders.repeat(1, 6)
    centres = torch.stack([points[order.argsort()] for order in orders])
    design = Design("vmtl_w", prior=prior, hidden=16, latent=8, samples=4)
    model = VMTL(design, centres)
    optimizer = torch.optim.Adam(model.parameters(), 2e-2)
    for step in range(300):
        model.at(10 * step)
        optimizer.zero_grad()
        model(x, labels).loss.sum().backward()
        optimizer.step()
    weights = model.weights()["w"]
    assert weights[0, 1] > weights[0, 2] + 0.1
    assert weights[1, 0] > weights[1, 2]


def test_the_losses_can_be_had_through_functional_call():
    model, (x, labels) = toy.model("bmtl"), toy.batch()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    assert_close(functional_call(model, state, (x, labels)).loss, model(x, labels).loss)


def test_draws_of_scores_scatter_around_those_of_the_means():
    model, (x, _) = toy.model("vmtl"), toy.batch()
    drawn, means = model.scores(x, draws=4000), model.scores(x)
    assert means.shape == (1, 3, 8, 4)
    assert_close(drawn.mean(dim=0), means[0], rtol=0.0, atol=0.02)
    assert (drawn.std(dim=0) > 0).all()
