import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from mtlgym.balancing import GRADIENT_METHODS, state_dict
from mtlgym.balancing.gradients.unit_gramian import unit_gramian
from tests.balancing.gradient_cases import (
    FROM_GRAMIAN,
    FROM_JACOBIAN,
    call,
    gradients_of,
    jacobian,
    weights_of,
)
from tests.balancing.gradient_residuals import RESIDUALS

STATELESS = sorted(set(RESIDUALS) - {"pcgrad"})

MATRICES = {
    "a zero gradient": [[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]],
    "all zero": [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
    "equal": [[1.0, 2.0, 2.0], [1.0, 2.0, 2.0]],
    "rank one of one sign": [[1.0, 2.0, 2.0], [2.0, 4.0, 4.0]],
    "opposing": [[1.0, 2.0, 2.0], [-2.0, -4.0, -4.0]],
    "one task": [[1.0, 2.0, 2.0]],
}
THIRD = 2 ** (-2 / 3)
# FairGrad of opposing gradients: u = w_i |g_i| is the same for both, and the sum of the equations,
# each divided by |g_i|, is 2 ridge u = u^(-1/2) (3^(-1/2) + 6^(-1/2))
RIDGED = ((3**-0.5 + 6**-0.5) / 2e-10) ** (2 / 3)
# the documented answers, in that order: weights, or directions where gradients are needed
DEGENERATE: dict[str, list[list[float]]] = {
    "aligned_mtl": [[0, 0.5], [0, 0], [0.5, 0.5], [0.75, 0.375], [-0.25, 0.125], [1]],
    "cagrad": [[0.5, 0.5], [0.5, 0.5], [0.75, 0.75], [1.25, 0.5], [0.75, 0.5], [1.5]],
    "db_mtl": [
        [0.2, 0, 0],
        [0, 0, 0],
        [0.2, 0.4, 0.4],
        [0.4, 0.8, 0.8],
        [0, 0, 0],
        [0.1, 0.2, 0.2],
    ],
    "dualproj": [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [1, 0.5], [1]],
    "fairgrad": [
        [0, 4 ** (-2 / 3)],
        [0, 0],
        [18 ** (-2 / 3), 18 ** (-2 / 3)],
        [1 / 9 / THIRD, 1 / 36 / THIRD],
        [RIDGED / 3, RIDGED / 6],
        [9 ** (-2 / 3)],
    ],
    "graddrop": [[2, 0, 0], [0, 0, 0], [2, 4, 4], [3, 6, 6], [1, -4, -4], [1, 2, 2]],  # of seed 0
    "gradnorm": [[1, 1], [1, 1], [1, 1], [1, 1], [1, 1], [1]],
    "imtl_g": [[0, 1], [0, 0], [0.5, 0.5], [2 / 3, 1 / 3], [2 / 3, 1 / 3], [1]],
    "mgda": [[1, 0], [0.5, 0.5], [0.5, 0.5], [1, 0], [2 / 3, 1 / 3], [1]],
    "nash": [
        [0, 0.5],
        [0, 0],
        [2**-0.5 / 3, 2**-0.5 / 3],
        [2**-0.5 / 3, 2**-0.5 / 6],
        [1e5 / 3, 1e5 / 6],  # with the ridge
        [1 / 3],
    ],
    "pcgrad": [[1, 1], [1, 1], [1, 1], [1, 1], [3, 1.5], [1]],
    "upgrad": [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [1.5, 0.75], [1]],
}


@pytest.mark.parametrize("case", MATRICES)
@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_degenerate_gradients_have_the_documented_answer(name, case):
    rows = torch.tensor(MATRICES[case], dtype=torch.float64)
    wanted = torch.tensor(DEGENERATE[name][list(MATRICES).index(case)], dtype=torch.float64)
    assert_close(call(GRADIENT_METHODS[name](), rows), wanted, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("name", STATELESS)
def test_equal_gradients_get_equal_weights_among_others(name):
    rows = gradients_of("random", 4, 0, decades=4.0)[[0, 1, 0, 2, 0, 3, 1]]
    weights = weights_of(name, rows)
    assert_close(weights[[2, 4, 6]], weights[[0, 0, 1]], rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_weights_are_finite_at_every_scale_of_the_gradients(name, dtype):
    largest = min(1e8, float(torch.finfo(dtype).max) ** 0.5 / 10)
    for scale in (0.0, 1e-30, 1e-8, 1.0, largest):
        method = GRADIENT_METHODS[name]()
        rows = (scale * jacobian(1, 4)).to(dtype)
        for _ in range(3):
            result = call(method, rows, torch.ones(4))
            assert torch.isfinite(result).all()
        assert result.dtype is (dtype if method.needs_jacobian else torch.float64)
        assert result.device.type == "cpu"
        assert not result.requires_grad


@pytest.mark.parametrize("name", FROM_GRAMIAN)
def test_weights_are_finite_for_a_gramian_that_rounding_made_indefinite(name):
    for family in ("parallel", "opposing", "low_rank"):
        rows = gradients_of(family, 11, 0, decades=2.0)
        gramian = torch.from_numpy((rows @ rows.T).astype(np.float32))
        assert torch.linalg.eigvalsh(gramian.double()).min() < 0
        assert torch.isfinite(GRADIENT_METHODS[name]()(gramian)).all()


@pytest.mark.parametrize("tasks", [2, 3, 40])
@pytest.mark.parametrize("name", RESIDUALS)
def test_weights_are_finite_for_norms_that_are_300_orders_of_magnitude_apart(name, tasks):
    if name == "fairgrad":
        pytest.skip("its weights leave float64's range")
    rows = gradients_of("random", tasks, 0, decades=280.0)
    assert np.isfinite(weights_of(name, rows)).all()


def test_fairgrad_says_so_if_its_weights_leave_the_range_of_float64():
    rows = gradients_of("random", 3, 0, decades=24.0)
    with pytest.raises(ArithmeticError, match="leave the range of float64"):
        weights_of("fairgrad", rows, alpha=200.0)


BAD_GRAMIANS = [
    (torch.ones(2, 3), r"`gramian` must be of shape \(tasks, tasks\), not \(2, 3\)"),
    (torch.ones(0, 0), r"`gramian` must be of shape \(tasks, tasks\), not \(0, 0\)"),
    (torch.tensor([[1.0, 0.0], [0.0, math.nan]]), r"`gramian\[1, 1\]` must be finite, not nan"),
    (torch.tensor([[1.0, math.inf], [0.0, 1.0]]), r"`gramian\[0, 1\]` must be finite, not inf"),
    (torch.tensor([[1.0, 0.0], [0.0, -2.0]]), r"`gramian\[1, 1\]` must be a squared norm, not -2"),
]


@pytest.mark.parametrize(("gramian", "message"), BAD_GRAMIANS)
def test_what_is_no_gramian_is_refused(gramian, message):
    with pytest.raises(ValueError, match=message):
        unit_gramian(gramian)


@pytest.mark.parametrize("name", FROM_GRAMIAN)
def test_a_gramian_that_is_not_finite_is_refused_and_changes_no_state(name):
    method = GRADIENT_METHODS[name]()
    before = state_dict(method)
    with pytest.raises(ValueError, match=r"`gramian\[0, 1\]` must be finite, not inf"):
        method(torch.tensor([[1.0, math.inf], [0.0, 1.0]]))
    assert_close(state_dict(method), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", FROM_JACOBIAN)
def test_a_jacobian_that_is_not_finite_is_refused_and_changes_no_state(name):
    method = GRADIENT_METHODS[name]()
    before = state_dict(method)
    with pytest.raises(ValueError, match=r"`jacobian\[1\]` must be finite"):
        method(torch.tensor([[1.0, 2.0], [3.0, math.nan]]))
    assert_close(state_dict(method), before, rtol=0, atol=0)
