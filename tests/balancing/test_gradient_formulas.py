import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor
from torch.testing import assert_close

from mtlgym.balancing import GRADIENT_METHODS
from mtlgym.balancing.aggregate import aggregate
from tests.balancing.gradient_cases import JACOBIAN, gradients_of, weights_of

# g_1 = (-4, 1, 1), g_2 = (6, 1, 1); K = [[18, -22], [-22, 38]]; g_0 = (1, 1, 1)
NORMS = math.sqrt(18), math.sqrt(38)
COSINE = -22 / math.sqrt(18 * 38)


def published_aligned_mtl() -> list[float]:
    """By the closed form of a 2 x 2 matrix's root: K^1/2 = (K + r I) / q, r = sqrt(det K)."""
    root = math.sqrt(18 * 38 - 22**2)
    scale = math.sqrt(18 + 38 + 2 * root)
    inverse = scale * np.linalg.inv(np.array([[18 + root, -22], [-22, 38 + root]]))
    least = 28 - math.sqrt(10**2 + 22**2)
    weights: list[float] = (math.sqrt(least) * inverse @ [0.5, 0.5]).tolist()
    return weights


def published_fairgrad() -> list[float]:
    """The first equation gives w_2 from w_1, the second is then one in one unknown."""

    def other(w: float) -> float:
        return (18 * w - w**-0.5) / 22

    def second(w: float) -> float:
        return -22 * w + 38 * other(w) - other(w) ** -0.5

    w = float(brentq(second, 18 ** (-2 / 3) + 1e-9, 10.0, xtol=1e-15))
    return [w, other(w)]


# weights, or the direction of a method that needs the gradients; of the second call for GradNorm
EXPECTED: dict[str, Any] = {
    "aligned_mtl": published_aligned_mtl,
    # only g_1 conflicts with g_0, and it is the least served: g_v = g_1
    "cagrad": lambda: [0.5 + 0.5 * math.sqrt(3) / NORMS[0], 0.5],
    # m = G / 10
    "db_mtl": lambda: (NORMS[1] / NORMS[0] * JACOBIAN[0] + JACOBIAN[1]) / 10,
    "dualproj": lambda: [0.5 + 2 / 18, 0.5],  # g_0 - (g_0.g_1) g_1 / 18
    "fairgrad": published_fairgrad,
    "graddrop": lambda: [6.0, 2.0, 2.0],  # (0.6 for 6, 0.4 for -4), 1 + 1, 1 + 1
    # Adam's first step is lr times the sign; the lengths are below and above their mean
    "gradnorm": lambda: [1.025, 0.975],
    "imtl_g": lambda: [NORMS[1] / sum(NORMS), NORMS[0] / sum(NORMS)],  # the bisector
    "mgda": lambda: [0.6, 0.4],  # (0, 1, 1)
    "nash": lambda: [1 / s / math.sqrt(1 + COSINE) for s in NORMS],
    "pcgrad": lambda: [1 + 22 / 18, 1 + 22 / 38],
    "upgrad": lambda: [(1 + 22 / 18) / 2, (1 + 22 / 38) / 2],  # half of PCGrad for two tasks
}


@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_method_gives_the_published_answer(name):
    method = GRADIENT_METHODS[name]()
    given = JACOBIAN if method.needs_jacobian else JACOBIAN @ JACOBIAN.T
    result = method(given)
    if name == "gradnorm":
        assert_close(result, torch.ones(2, dtype=torch.float64))
        result = method(given)
    wanted = torch.as_tensor(EXPECTED[name](), dtype=torch.float64)
    assert_close(result, wanted, rtol=1e-7, atol=0)  # Adam's eps


def test_named_options_multiply_the_weights():
    plain = weights_of("cagrad", JACOBIAN.numpy())
    assert_close(weights_of("cagrad", JACOBIAN.numpy(), rescale=True), plain / 1.25)
    assert_close(weights_of("cagrad", JACOBIAN.numpy(), times_tasks=True), plain * 2)
    for name in ("mgda", "aligned_mtl", "fairgrad"):
        plain = weights_of(name, JACOBIAN.numpy())
        assert_close(weights_of(name, JACOBIAN.numpy(), times_tasks=True), plain * 2)


@pytest.mark.parametrize("c", [0.0, 0.2, 0.9, 1.0, 3.0])
def test_cagrad_beats_other_directions_in_its_ball(c):
    rng = np.random.default_rng(0)
    for seed in range(5):
        rows = gradients_of("random", 5, seed, decades=2.0)
        mean = rows.mean(axis=0)
        radius = c * np.linalg.norm(mean)
        best = (rows @ (weights_of("cagrad", rows, c=c) @ rows)).min()
        found = weights_of("cagrad", rows, c=c) @ rows - mean
        assert np.linalg.norm(found) <= radius * (1 + 1e-9) + 1e-15
        for _ in range(200):
            step = found + 0.1 * radius * rng.standard_normal(5) @ rows
            step *= min(1, radius / max(np.linalg.norm(step), 1e-300))
            assert (rows @ (mean + step)).min() <= best + 1e-9 * abs(best)


@pytest.mark.parametrize("tasks", [2, 3, 11])
def test_fairgrad_with_alpha_one_is_nash(tasks):
    rows = gradients_of("random", tasks, 0)
    assert_close(
        weights_of("fairgrad", rows, alpha=1.0), weights_of("nash", rows), rtol=1e-9, atol=0
    )


@pytest.mark.parametrize("alpha", [0.5, 2.0, 5.0])
def test_fairgrad_solves_its_equation_for_other_alphas(alpha):
    for seed in range(5):
        rows = gradients_of("random", 7, seed, decades=2.0)
        weights = weights_of("fairgrad", rows, alpha=alpha)
        assert_close(rows @ (weights @ rows), weights ** (-1 / alpha), rtol=1e-9, atol=0)


def test_dualproj_and_upgrad_agree_if_only_one_task_has_a_gradient_in_the_mean():
    rows = gradients_of("random", 4, 1, decades=0.0)
    rows[1:] *= 1e-9  # the others set the cone but not the mean
    here, there = weights_of("dualproj", rows) @ rows, weights_of("upgrad", rows) @ rows
    assert_close(here, there, rtol=1e-6, atol=1e-8)


def test_graddrop_is_unbiased_and_picks_whole_signs():
    method = GRADIENT_METHODS["graddrop"]()
    rows = torch.from_numpy(gradients_of("random", 4, 0, decades=1.0))
    draws = torch.stack([method(rows) for _ in range(4000)])
    positive, negative = rows.clamp(min=0).sum(dim=0), rows.clamp(max=0).sum(dim=0)
    assert ((draws == positive) | (draws == negative)).all()
    spread = (positive - negative) / 4000**0.5 / 2
    assert ((draws.mean(dim=0) - rows.sum(dim=0)).abs() < 5 * spread).all()


def test_graddrop_leaks_its_share():
    rows = torch.from_numpy(gradients_of("random", 4, 0))
    assert_close(aggregate(GRADIENT_METHODS["graddrop"](leak=1.0), rows), rows.sum(dim=0))
    half = aggregate(GRADIENT_METHODS["graddrop"](leak=0.5), rows)
    assert_close(half, (rows.sum(dim=0) + aggregate("graddrop", rows)) / 2)


def reference_gradnorm(norms: list[Tensor], losses: list[Tensor] | None) -> list[Tensor]:
    """Algorithm 1 through autograd and torch's Adam."""
    weights = torch.ones(3, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([weights], lr=0.025)
    seen = []
    for step, norm in enumerate(norms):
        seen.append(weights.detach().clone())
        lengths = weights * norm
        ratios = losses[step] / losses[0] if losses else torch.ones(3, dtype=torch.float64)
        target = (lengths.mean() * (ratios / ratios.mean()) ** 1.5).detach()
        adam.zero_grad()
        (lengths - target).abs().sum().backward()
        adam.step()
        with torch.no_grad():
            weights *= 3 / weights.sum()
    return seen


@pytest.mark.parametrize("with_losses", [False, True])
def test_gradnorm_learns_as_its_algorithm_through_autograd_does(with_losses):
    rng = np.random.default_rng(0)
    norms = [torch.from_numpy(np.exp(rng.standard_normal(3))) for _ in range(60)]
    losses = [torch.from_numpy(np.exp(rng.standard_normal(3))) for _ in range(60)]
    wanted = reference_gradnorm(norms, losses if with_losses else None)
    method = GRADIENT_METHODS["gradnorm"]()
    for step, norm in enumerate(norms):
        weights = method(torch.diag(norm**2), losses[step] if with_losses else None)
        assert_close(weights, wanted[step], rtol=1e-9, atol=0)
        assert_close(weights.sum().item(), 3.0)


def test_gradnorm_keeps_its_weights_positive():
    method = GRADIENT_METHODS["gradnorm"](lr=1.0)
    for _ in range(50):
        weights = method(torch.diag(torch.tensor([1e6, 1.0, 1e-6], dtype=torch.float64)))
        assert (weights > 0).all()


@pytest.mark.parametrize(("beta", "sigma"), [(0.0, 0.0), (0.9, 0.0), (0.5, 0.5)])
def test_db_mtl_equals_a_plain_transcription(beta, sigma):
    method = GRADIENT_METHODS["db_mtl"](beta=beta, sigma=sigma)
    mean = np.zeros((3, 53))
    for step in range(1, 20):
        rows = gradients_of("random", 3, step)
        share = beta / step**sigma
        mean = share * mean + (1 - share) * rows
        norms = np.linalg.norm(mean, axis=1)
        wanted = (norms.max() / norms) @ mean
        assert_close(method(torch.from_numpy(rows)).numpy(), wanted, rtol=1e-10, atol=1e-300)
    assert bool(method._mean.ndim) == (beta > 0)


def test_pcgrad_projects_in_all_orders():
    rows = torch.from_numpy(gradients_of("random", 3, 4, decades=0.0))
    method = GRADIENT_METHODS["pcgrad"]()
    seen = {tuple(method(rows @ rows.T).numpy().round(9)) for _ in range(100)}
    assert 1 < len(seen) <= 2**3
