"""Our methods beside TorchJD's."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mtlgym.balancing import GRADIENT_METHODS
from mtlgym.balancing.aggregate import aggregate
from mtlgym.balancing.gradients import TorchJD
from tests.balancing.gradient_cases import JACOBIAN, gradients_of, weights_of

pytest.importorskip("torchjd", reason="TorchJD is not installed: pip install mtlgym[torchjd]")

from torchjd.linalg import QuadprogProjector

pytestmark = [
    # cvxpy's, on TorchJD's NashMTL
    pytest.mark.filterwarnings("ignore:You are solving a parameterized problem that is not DPP"),
    pytest.mark.filterwarnings("ignore:Solution may be inaccurate"),
    pytest.mark.filterwarnings(
        "ignore:\\s*The problem includes expressions that don't support CPP"
    ),
]

# Without its regularisation TorchJD's projection is exact too, on gradients that are independent.
EXACT = {"projector": QuadprogProjector(norm_eps=0.0, reg_eps=0.0)}
# With these settings TorchJD's aggregators are the published methods.
SAME: dict[str, tuple[str, dict[str, Any]]] = {
    "aligned_mtl": ("AlignedMTL", {}),
    "cagrad": ("CAGrad", {"c": 0.5, "norm_eps": 0.0}),
    "dualproj": ("DualProj", EXACT),
    "fairgrad": ("FairGrad", {"alpha": 2.0}),
    "imtl_g": ("IMTLG", {}),
    "mgda": ("MGDA", {"epsilon": 1e-14, "max_iters": 5000}),
    "nash": ("NashMTL", {"max_norm": 0.0, "optim_niter": 100}),  # 0: the norm is not clipped
    "pcgrad": ("PCGrad", {}),
    "upgrad": ("UPGrad", EXACT),
}
# With three tasks PCGrad's random order matters; Frank and Wolfe's algorithm for MGDA converges
# slowly; CAGrad's solver stops when its objective is right, which is flat around its minimum.
THREE_TASKS = {"cagrad": 2e-4, "mgda": 1e-3} | dict.fromkeys(
    ["aligned_mtl", "dualproj", "fairgrad", "imtl_g", "nash", "upgrad"], 1e-6
)


def of_torchjd(name: str, rows: np.ndarray) -> Tensor:
    kind, settings = SAME[name]
    if name == "nash":
        settings = {**settings, "n_tasks": len(rows)}
    return aggregate(TorchJD(kind, settings), torch.from_numpy(rows))


def distance(name: str, rows: np.ndarray) -> float:
    """Of the two directions, relative to ours."""
    ours = weights_of(name, rows) @ rows
    return float(np.linalg.norm(of_torchjd(name, rows).numpy() - ours) / np.linalg.norm(ours))


@pytest.mark.parametrize("name", SAME)
def test_two_tasks_get_the_direction_that_torchjd_gives_them(name):
    assert distance(name, JACOBIAN.numpy()) < 1e-6
    for seed in range(4):
        assert distance(name, gradients_of("random", 2, seed, decades=1.0)) < 1e-6


@pytest.mark.parametrize("name", THREE_TASKS)
def test_three_tasks_get_the_direction_that_torchjd_gives_them(name):
    for seed in range(4):
        assert distance(name, gradients_of("random", 3, seed, decades=1.0)) < THREE_TASKS[name]


def test_cagrad_serves_the_least_served_task_at_least_as_well_as_torchjd():
    for seed in range(5):
        rows = gradients_of("random", 6, seed, decades=1.0)
        ours = (rows @ (weights_of("cagrad", rows) @ rows)).min()
        theirs = (rows @ of_torchjd("cagrad", rows).numpy()).min()
        assert theirs - 1e-6 * abs(theirs) <= ours <= theirs + 1e-3 * abs(theirs)


def test_mgda_is_never_longer_than_torchjd():
    for seed in range(5):
        rows = gradients_of("random", 6, seed, decades=2.0)
        ours = np.linalg.norm(weights_of("mgda", rows) @ rows)
        assert ours <= np.linalg.norm(of_torchjd("mgda", rows).numpy()) * (1 + 1e-12)


def test_graddrop_agrees_where_all_gradients_of_a_parameter_have_one_sign():
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    rows = torch.from_numpy(np.abs(gradients_of("random", 3, 0)))[:, :4] * signs
    assert_close(aggregate("graddrop", rows), aggregate(TorchJD("GradDrop"), rows))
    mixed = torch.from_numpy(gradients_of("random", 3, 0))
    leaky = TorchJD("GradDrop", {"leak": [1.0, 1.0, 1.0]})
    assert_close(aggregate(GRADIENT_METHODS["graddrop"](leak=1.0), mixed), aggregate(leaky, mixed))


def test_graddrop_has_the_mean_of_torchjd():
    rows = torch.from_numpy(gradients_of("random", 3, 0, decades=0.0))[:, :5]
    ours, theirs = GRADIENT_METHODS["graddrop"](), TorchJD("GradDrop")
    spread = rows.abs().sum(dim=0) / math.sqrt(2000)
    first = torch.stack([ours(rows) for _ in range(2000)]).mean(dim=0)
    second = torch.stack([theirs(rows) for _ in range(2000)]).mean(dim=0)
    assert ((first - second).abs() < 4 * spread).all()
