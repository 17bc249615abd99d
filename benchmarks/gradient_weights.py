"""The time that gradient methods take from the Gramian to the weights, compared with TorchJD's.

    OMP_NUM_THREADS=1 python benchmarks/gradient_weights.py [--tasks 3 11 40] [--cases 30]

Both get the same Gramians in one process, in alternation; the times are medians, in milliseconds.
The residuals are the worst violations of each method's published conditions of optimality, over
the direction's length, as the tests define them: of gradients of about the same norm (alike), and
of gradients whose norms spread over 12 orders of magnitude (spread). `inf` is a direction of zero
or an error. TorchJD's tolerances are at their smallest.
"""

import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import tyro
from torchjd import aggregation
from torchjd.linalg import QuadprogProjector

from mtlgym.balancing import GRADIENT_METHODS

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from gradient_cases import gradients_of
from gradient_residuals import RESIDUALS, Answer

EXACT = QuadprogProjector(norm_eps=0.0, reg_eps=1e-12)


@dataclass
class Args:
    """What is measured."""

    tasks: tuple[int, ...] = (3, 11, 40)
    cases: int = 30
    methods: tuple[str, ...] = tuple(RESIDUALS)


def of_torchjd(name: str, tasks: int) -> Any:
    """TorchJD's weighting of Gramians; for Nash-MTL, which it only has for Jacobians, of those."""
    return {
        "aligned_mtl": lambda: aggregation.AlignedMTLWeighting(),
        "cagrad": lambda: aggregation.CAGradWeighting(c=0.5, norm_eps=0.0),
        "dualproj": lambda: aggregation.DualProjWeighting(projector=EXACT),
        "fairgrad": lambda: aggregation.FairGradWeighting(alpha=2.0),
        "imtl_g": lambda: aggregation.IMTLGWeighting(),
        "mgda": lambda: aggregation.MGDAWeighting(),
        "nash": lambda: aggregation.NashMTL(n_tasks=tasks, max_norm=0.0).weighting,
        "pcgrad": lambda: aggregation.PCGradWeighting(),
        "upgrad": lambda: aggregation.UPGradWeighting(projector=EXACT),
    }[name]()


def timed(method: Any, given: torch.Tensor) -> tuple[float, np.ndarray]:
    """Milliseconds and weights; weights of zero after an error."""
    started = time.perf_counter()
    try:
        weights = method(given).numpy()
    except (ValueError, ArithmeticError):
        weights = np.zeros(len(given))
    return 1e3 * (time.perf_counter() - started), weights


def residual(name: str, gradients: np.ndarray, weights: np.ndarray) -> float:
    """The violation of the method's conditions; PCGrad has them for our orders only."""
    if not np.isfinite(weights).all() or not (weights @ gradients).any():
        return float("inf")
    with np.errstate(all="ignore"):
        found = RESIDUALS[name](Answer(gradients, weights, strict=True))
    return found if np.isfinite(found) else float("inf")


def compare(name: str, tasks: int, cases: int) -> str:
    """One row of the table."""
    both = of_torchjd(name, tasks), of_torchjd(name, tasks)  # a state each, for alike and spread
    times: list[list[float]] = [[], []]
    worst = np.zeros((2, 2))  # (alike or spread, ours or theirs)
    for k in range(2 * cases + 2):
        theirs = both[k % 2]
        gradients = gradients_of("random", tasks, k, decades=12.0 * (k % 2))
        jacobian = torch.from_numpy(gradients)
        gramian = jacobian @ jacobian.T
        calls = (
            (GRADIENT_METHODS[name](), gramian),
            (theirs, jacobian if name == "nash" else gramian),
        )
        for side, (method, given) in enumerate(calls):
            took, weights = timed(method, given)
            if k > 1:  # the first calls set up
                times[side].append(took)
            if name != "pcgrad" or side == 0:
                worst[k % 2, side] = max(worst[k % 2, side], residual(name, gradients, weights))
    ours, their = median(times[0]), median(times[1])
    marks = "".join(f"{value:10.0e}" for value in worst.ravel())
    return f"{name:12}{tasks:4}{ours:10.3f}{their:10.3f}{their / ours:8.1f}{marks}"


def main(args: Args) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # cvxpy's, on TorchJD's problems
    sides = f"{'ours':>10}{'torchjd':>10}"
    print(f"{'':16}{'milliseconds':>20}{'':8}{'residual, alike':>20}{'residual, spread':>20}")
    print(f"{'method':12}{'T':>4}{sides}{'ratio':>8}{sides}{sides}")
    for name in args.methods:
        for tasks in args.tasks:
            print(compare(name, tasks, args.cases), flush=True)


if __name__ == "__main__":
    main(tyro.cli(Args))
