"""The density of softmax-squashed normals, against quadrature and change of variables."""

import math

import pytest
import torch
from scipy import integrate
from torch.distributions import MultivariateNormal
from torch.testing import assert_close

from mtlgym.agents.streams import torch_stream
from mtlgym.agents.weights.logistic_normal import LogisticNormal


def parameters(tasks, batch=4, seed=0):
    draw = torch.Generator().manual_seed(seed)
    mean, log_std = torch.randn(2, batch, tasks, generator=draw, dtype=torch.float64)
    return mean, log_std / 2


def sample(mean, log_std, seed=0):
    with torch_stream(seed).swapped_in():
        return LogisticNormal().log_prob_from_params(mean, log_std)


def by_change_of_variables(weights, mean, log_std, reference):
    """log p of the weights other than the reference's, through the Jacobian of y -> w."""
    tasks = len(weights)
    kept = [i for i in range(tasks) if i != reference]
    variance = (2 * log_std).exp()
    normal = MultivariateNormal(
        mean[kept] - mean[reference], torch.diag(variance[kept]) + variance[reference]
    )

    def weights_of(y):
        return tasks * y.exp() / (1 + y.exp().sum())

    ratios = (weights[kept] / weights[reference]).log()
    jacobian = torch.autograd.functional.jacobian(weights_of, ratios)
    return normal.log_prob(ratios) - torch.linalg.slogdet(jacobian).logabsdet


@pytest.mark.parametrize("tasks", [2, 3, 11])
def test_density_is_the_change_of_variables_for_every_reference_task(tasks):
    mean, log_std = parameters(tasks)
    weights, log_prob = sample(mean, log_std)
    for row in range(len(mean)):
        for reference in range(tasks):
            expected = by_change_of_variables(weights[row], mean[row], log_std[row], reference)
            assert_close(log_prob[row], expected)


def test_density_of_two_tasks_integrates_to_one():
    mean, log_std = parameters(2, batch=1)
    distribution = LogisticNormal().proba_distribution(mean, log_std)

    def density(first):
        weights = torch.tensor([[first, 2 - first]], dtype=torch.float64)
        return float(distribution.log_prob(weights).exp())

    assert integrate.quad(density, 0, 2)[0] == pytest.approx(1, abs=1e-6)


def test_density_of_three_tasks_integrates_to_one():
    mean, log_std = parameters(3, batch=1)
    distribution = LogisticNormal().proba_distribution(mean / 2, log_std - 1)  # off the edges
    cells = 1000
    axis = 3 * (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
    first, second = torch.meshgrid(axis, axis, indexing="ij")
    weights = torch.stack([first, second, 3 - first - second], dim=-1).reshape(-1, 3)
    inside = weights[weights[:, 2] > 1e-9]
    total = distribution.log_prob(inside).exp().sum() * (3 / cells) ** 2
    assert float(total) == pytest.approx(1, abs=1e-3)


def test_mean_log_probability_of_samples_is_minus_the_entropy():
    mean, log_std = parameters(2, batch=1)
    distribution = LogisticNormal().proba_distribution(mean, log_std)

    def integrand(first):
        log_prob = distribution.log_prob(torch.tensor([[first, 2 - first]], dtype=torch.float64))
        return float(-log_prob * log_prob.exp())

    entropy = integrate.quad(integrand, 0, 2)[0]
    _, log_prob = sample(mean.expand(100_000, 2), log_std.expand(100_000, 2))
    assert float(-log_prob.mean()) == pytest.approx(entropy, abs=0.02)


def test_density_permutes_with_the_tasks():
    mean, log_std = parameters(5)
    weights, log_prob = sample(mean, log_std)
    order = torch.tensor([3, 0, 4, 1, 2])
    moved = LogisticNormal().proba_distribution(mean[:, order], log_std[:, order])
    assert_close(moved.log_prob(weights[:, order]), log_prob)


def test_density_ignores_the_common_level_of_the_means():
    mean, log_std = parameters(4)
    weights, log_prob = sample(mean, log_std)
    assert_close(LogisticNormal().proba_distribution(mean + 7, log_std).log_prob(weights), log_prob)


def test_samples_are_weights_that_sum_to_the_number_of_tasks():
    mean, log_std = parameters(6)
    weights, _ = sample(mean, log_std)
    assert (weights > 0).all()
    assert_close(weights.sum(1), torch.full((4,), 6.0, dtype=torch.float64))


def test_sampled_log_ratios_have_the_mean_and_spread_of_the_normals():
    mean = torch.tensor([[0.5, -1.0, 0.0]], dtype=torch.float64)
    log_std = torch.tensor([[0.0, -1.0, 0.5]], dtype=torch.float64)
    weights, _ = sample(mean.expand(100_000, 3), log_std.expand(100_000, 3))
    ratios = (weights[:, :2] / weights[:, 2:]).log()
    variance = (2 * log_std[0]).exp()
    assert_close(ratios.mean(0), mean[0, :2] - mean[0, 2], atol=0.03, rtol=0)
    assert_close(ratios.var(0), variance[:2] + variance[2], atol=0.06, rtol=0)


def test_gradients_are_those_of_the_density_at_the_moving_sample():
    mean, log_std = (each.requires_grad_() for each in parameters(3))
    _, log_prob = sample(mean, log_std)
    fast = torch.autograd.grad(log_prob.sum(), (mean, log_std))
    with torch_stream(0).swapped_in():
        noise = torch.randn_like(mean)
    weights = 3 * torch.softmax(mean + log_std.exp() * noise, dim=1)
    plain = LogisticNormal().proba_distribution(mean, log_std).log_prob(weights)
    assert_close(fast, torch.autograd.grad(plain.sum(), (mean, log_std)))


@pytest.mark.parametrize("log_stds", [(-20, -20, -20), (2, 2, 2), (-20, 2, 2), (2, -20, -20)])
@pytest.mark.parametrize("scale", [0.0, 100.0])
def test_density_and_gradients_stay_finite_at_the_limits(log_stds, scale):
    log_std = torch.tensor([log_stds], dtype=torch.float32).requires_grad_()
    mean = torch.tensor([[scale, 0.0, -scale]]).requires_grad_()
    weights, log_prob = sample(mean, log_std)
    gradients = torch.autograd.grad((weights + log_prob[:, None]).sum(), (mean, log_std))
    assert torch.isfinite(weights).all()
    assert torch.isfinite(log_prob).all()
    assert all(torch.isfinite(each).all() for each in gradients)
    again = LogisticNormal().proba_distribution(mean, log_std).log_prob(weights)
    assert torch.isfinite(again).all()


def test_small_spreads_keep_their_digits_in_single_precision():
    mean, log_std = torch.tensor([[3.0, -5.0]]), torch.full((1, 2), -20.0)
    log_probs = [float(sample(mean, log_std, seed)[1]) for seed in range(200)]
    peak = 20 - math.log(2) / 2 - math.log(2 * math.pi) / 2 + 8 + 2 * math.log1p(math.exp(-8))
    assert max(log_probs) <= peak - math.log(2) + 1e-3
    assert sum(log_probs) / 200 == pytest.approx(peak - math.log(2) - 0.5, abs=0.2)


def test_one_task_weighs_one_with_density_one():
    mean, log_std = parameters(1)
    weights, log_prob = sample(mean, log_std)
    assert_close(weights, torch.ones_like(weights))
    assert_close(log_prob, torch.zeros_like(log_prob))


def test_deterministic_action_is_the_softmax_of_the_means():
    mean, log_std = parameters(3)
    actions = LogisticNormal().actions_from_params(mean, log_std, deterministic=True)
    assert_close(actions, 3 * torch.softmax(mean, dim=1))
