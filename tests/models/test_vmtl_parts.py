"""Gaussians, relatedness and schedules of variational multi-task learning."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence
from torch.testing import assert_close

from mtlgym.models import gaussian
from mtlgym.models.annealing import Annealing
from mtlgym.models.gaussian import Gaussian
from mtlgym.models.gaussian_encoder import StackedLinear
from mtlgym.models.relatedness import PRIORS, Relatedness
from mtlgym.models.task_rows import TaskRows
from mtlgym.problems.domains import class_means

COOL = torch.tensor(0.5)


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def normal(*shape):
    return Gaussian(torch.randn(*shape).double(), torch.rand(*shape).double() + 0.1)


def test_the_divergence_is_that_of_torch_and_of_a_monte_carlo_estimate():
    q, p = normal(5), normal(5)
    qs, ps = (Normal(each.mean, each.variance.sqrt()) for each in (q, p))
    assert_close(gaussian.kl(q, p), kl_divergence(qs, ps))
    draws = q.sample(40_000)
    ratios = Independent(qs, 1).log_prob(draws) - Independent(ps, 1).log_prob(draws)
    error = ratios.std() / math.sqrt(len(ratios))
    assert abs(ratios.mean() - gaussian.kl(q, p).sum()) < 3 * error


def test_the_divergence_of_equal_distributions_is_zero_and_never_below():
    q = normal(1000)
    assert (gaussian.kl(q, q) == 0).all()
    near = Gaussian(q.mean.float(), q.variance.float())
    close = Gaussian(near.mean + 1e-7, near.variance * (1 + 1e-7))
    assert (gaussian.kl(near, close) >= 0).all()


def test_the_divergence_of_a_near_point_is_finite_and_right():
    q = Gaussian(torch.zeros(1, requires_grad=True), torch.full((1,), 1e-30, requires_grad=True))
    variance = q.variance
    found = gaussian.kl(q, gaussian.standard(q))
    assert_close(found, torch.tensor([0.5 * (30 * math.log(10) - 1)]))
    found.sum().backward()
    assert variance.grad is not None
    assert variance.grad.isfinite().all()


def test_a_one_hot_row_makes_that_tasks_posterior_the_prior():
    others = normal(3, 2, 4)
    prior = gaussian.pool(torch.tensor([[0.0, 0.0, 1.0]]).double(), others)
    assert_close(prior.mean[0], others.mean[2])
    assert_close(prior.variance[0], others.variance[2] + gaussian.FLOOR)


def test_weights_of_zero_leave_prior_and_divergence_finite():
    prior = gaussian.pool(torch.zeros(3, 3).double(), normal(3, 2, 4))
    assert (prior.variance == gaussian.FLOOR).all()
    assert gaussian.kl(normal(3, 2, 4), prior).isfinite().all()


def test_drawing_products_has_the_moments_of_drawing_the_matrix():
    inputs, weights = torch.randn(3, 6).double(), normal(4, 6)
    products = gaussian.through(inputs, weights)
    drawn = torch.einsum("nd,scd->snc", inputs, weights.sample(60_000))
    error = (products.variance / len(drawn)).sqrt()
    assert ((drawn.mean(dim=0) - products.mean).abs() < 4 * error).all()
    assert_close(drawn.var(dim=0), products.variance, rtol=0.03, atol=0.0)


def test_gradients_through_drawn_products_are_less_noisy():
    inputs, labels = torch.randn(32, 6), torch.randint(4, (32,))
    mean, variance = torch.randn(4, 6, requires_grad=True), torch.full((4, 6), 0.5)
    weights = Gaussian(mean, variance)

    def noise(scores):
        losses = (torch.nn.functional.cross_entropy(each, labels) for each in scores)
        return torch.stack([torch.autograd.grad(x, mean, retain_graph=True)[0] for x in losses])

    local = noise(gaussian.through(inputs, weights).sample(400))
    direct = noise(inputs @ weights.sample(400).mT)
    assert local.var(dim=0).sum() < 0.5 * direct.var(dim=0).sum()
    spread = ((local.var(dim=0) + direct.var(dim=0)) / 400).sqrt()
    assert ((local.mean(dim=0) - direct.mean(dim=0)).abs() < 5 * spread).all()


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_the_evidence_bound_meets_the_evidence_at_the_exact_posterior_alone(scale):
    """y = x w + noise with orthogonal columns of x, so that the posterior is diagonal."""
    x = torch.linalg.qr(torch.randn(8, 3).double())[0] * torch.tensor([1.0, 2.0, 3.0])
    y, noise = torch.randn(8).double(), 0.3
    prior = Gaussian(torch.zeros(1, 3).double(), torch.ones(1, 3).double())
    precision = 1 + x.square().sum(dim=0) / noise
    exact = Gaussian((x.mT @ y / noise / precision)[None], (scale / precision)[None])
    products = gaussian.through(x, exact)
    spread = (y[:, None] - products.mean).square() + products.variance
    likelihood = -0.5 * (spread / noise + math.log(2 * math.pi * noise)).sum()
    bound = likelihood - gaussian.kl(exact, prior).sum()
    covariance = noise * torch.eye(8).double() + x @ x.mT
    zeros = torch.zeros(8).double()
    evidence = torch.distributions.MultivariateNormal(zeros, covariance).log_prob(y)
    if scale == 1.0:
        assert_close(bound, evidence)
    else:
        assert bound < evidence - 0.1


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_pair_is_above_one_half_with_its_probability_at_every_temperature(temperature):
    logits = torch.full((101, 101), 0.8).double()
    drawn = PRIORS["gumbel"](logits, torch.tensor(temperature), True)
    pairs = drawn[~torch.eye(101, dtype=torch.bool)]
    assert ((pairs > 0) & (pairs < 1)).all()
    share, wanted = (pairs > 0.5).double().mean(), 1 / (1 + math.exp(-0.8))
    assert abs(share - wanted) < 3 * math.sqrt(wanted * (1 - wanted) / len(pairs))


def test_categorical_weights_sum_to_one_and_choose_as_often_as_their_softmax():
    logits = torch.tensor([[9.0, 1.0, 0.0, -1.0]] * 4)
    drawn = torch.stack([PRIORS["gumbel_categorical"](logits, COOL, True) for _ in range(4000)])
    assert_close(drawn.sum(dim=2), torch.ones(4000, 4))
    first = drawn[:, 0].argmax(dim=1)
    wanted = torch.softmax(logits[0, 1:], dim=0)
    shares = torch.bincount(first, minlength=4)[1:] / 4000
    assert ((shares - wanted).abs() < 3 * (wanted * (1 - wanted) / 4000).sqrt()).all()


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("training", [True, False])
def test_no_task_takes_from_itself(prior, training):
    relatedness = Relatedness(4, prior).train(training)
    drawn = relatedness(COOL)
    assert (drawn.diagonal() == 0).all()
    assert (drawn[~torch.eye(4, dtype=torch.bool)] > 0).all()


def test_mean_weights_are_what_equal_logits_give_without_noise():
    for prior in ("gumbel_categorical", "learnable"):
        assert_close(Relatedness(4, prior).expected(), Relatedness(4, "mean").expected())
    assert_close(Relatedness(4, "mean")(COOL)[0], torch.tensor([0, 1 / 3, 1 / 3, 1 / 3]))


def test_extreme_logits_leave_weights_and_gradients_finite():
    for prior in PRIORS:
        relatedness = Relatedness(3, prior)
        with torch.no_grad():
            for row in relatedness.logits.rows:
                row.copy_(torch.tensor([0.0, -90.0, 90.0]))
        drawn = relatedness(COOL)
        assert drawn.isfinite().all()
        if prior != "mean":
            drawn.square().sum().backward()
            for row in relatedness.logits.rows:
                assert row.grad is not None
                assert row.grad.isfinite().all()


def steps(count):
    return torch.arange(0.0, count, 500.0)


@pytest.mark.parametrize("cooling", ["compounded", "exponential"])
def test_schedules_are_monotone(cooling):
    annealing = Annealing(cooling=cooling, kl_z_rate=1e-6)
    temperature = torch.stack([annealing.temperature(step) for step in steps(40_000)])
    assert (temperature.diff() <= 0).all()
    assert temperature[0] == 1.0
    assert_close(temperature[-1], torch.tensor(0.5))
    for weight in (annealing.weight_z, annealing.weight_w):
        assert (torch.stack([weight(step) for step in steps(2_000_000)]).diff() >= 0).all()
        assert weight(torch.tensor(5e6)) == 1.0


def test_the_temperature_is_multiplied_at_every_thousandth_step():
    value, wanted = 1.0, []
    for step in range(1, 8001):
        if step % 1000 == 0:
            value = max(value * math.exp(-3e-5 * step), 0.5)
            wanted.append(value)
    found = [Annealing().temperature(torch.tensor(1000.0 * k)) for k in range(1, 9)]
    assert_close(torch.stack(found), torch.tensor(wanted))
    exponential = Annealing(cooling="exponential").temperature(torch.tensor(2999.0))
    assert_close(exponential, torch.tensor(math.exp(-0.06)))


def test_the_weight_of_w_rises_by_the_published_rate():
    assert_close(Annealing().weight_w(torch.tensor(15_000.0)), torch.tensor(0.015))
    assert Annealing().weight_w(torch.tensor(0.0)) == 0
    assert Annealing().weight_z(torch.tensor(15_000.0)) == pytest.approx(1e-7)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("kl_w_rate", -1.0),
        ("cooling", "exponentail"),
        ("cooling_every", 0),
        ("coolest", 0.0),
        ("kl_z", float("nan")),
        ("kl_z", 1e300),
        ("cooling_every", 10**40),
    ],
)
def test_schedules_that_mean_nothing_are_refused(option, value):
    with pytest.raises(ValueError, match=f"`{option}`"):
        Annealing(**{option: value})


def test_class_means_are_those_of_a_loop_and_zeros_without_samples():
    x, labels = torch.randn(9, 3), torch.tensor([0, 1, 1, 3, 3, 3, 0, 1, 0])
    found = class_means(x, labels, 5)
    for each in (0, 1, 3):
        assert_close(found[each], x[labels == each].mean(dim=0))
    assert (found[[2, 4]] == 0).all()


def test_stacked_layers_give_what_each_gives_alone():
    layer, x = StackedLinear(3, 4, 2), torch.randn(3, 5, 4)
    for task in range(3):
        own = layer.weight.rows[task].mT, layer.bias.rows[task][0]
        alone = torch.nn.functional.linear(x[task], *own)
        assert_close(layer(x, slice(None))[task], alone)
        assert_close(layer(x[task : task + 1], slice(task, task + 1))[0], alone)
    assert layer.weight(slice(None)).abs().max() <= 0.5


def test_rows_that_are_not_asked_for_have_no_gradient():
    rows = TaskRows(torch.arange(6.0).view(3, 2))
    assert_close(rows.among_all(slice(1, 2)), rows(slice(None)))
    rows.among_all(slice(1, 2)).sum().backward()
    assert [row.grad is None for row in rows.rows] == [True, False, True]
