"""Which strategy is the fastest on a model: all that are exact are tried once."""

import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtlgym.balancing.jacobian.hooks import Tap
from mtlgym.balancing.jacobian.strategies import STRATEGIES, Strategy
from mtlgym.balancing.jacobian.vjp import make_root

REPEATS = 2  # timed passes of each strategy, after one to warm up
TOLERANCE, HALF_TOLERANCE = 1e-3, 5e-2  # of a gradient, in units of its norm
GRAMIAN_TOLERANCE = 1e-3  # of a Gramian's entries, in units of the gradients' norms


def gradient(losses: Tensor, inputs: Sequence[Tensor], slopes: Tensor) -> list[Tensor | None]:
    """The gradient of sum slopes_t L_t; the graph is kept."""
    if not inputs:
        return []
    grads = torch.autograd.grad(losses, inputs, slopes, retain_graph=True, allow_unused=True)
    return list(grads)


def differ(found: Sequence[Tensor | None], wanted: Sequence[Tensor | None], *, half: bool) -> bool:
    """Whether the two are further apart than by rounding; False where they are not finite."""
    pairs = [
        (
            torch.zeros_like(b) if a is None else a,  # type: ignore[arg-type]
            torch.zeros_like(a) if b is None else b,  # type: ignore[arg-type]
        )
        for a, b in zip(found, wanted, strict=True)
        if a is not None or b is not None
    ]
    apart = torch.stack([(a - b).norm() for a, b in pairs]).double().norm()
    size = torch.stack([b.norm() for _, b in pairs]).double().norm()
    return bool(apart > (HALF_TOLERANCE if half else TOLERANCE) * size)


def choose(
    shared: Sequence[nn.Parameter],
    beyond: Sequence[Tensor],
    losses: Tensor,
    slopes: Tensor,
    tap: Tap | None,
    *,
    jacobian: bool = False,
) -> str:
    """The name of the fastest exact strategy on these losses, whose graph is kept.

    With `jacobian`, of those that make the tasks' Jacobian.

    A strategy that fails on the model, or whose Gramian is not that of the plain loop, is out.
    What is fastest depends on the machine's load as well, and strategies round differently: a run
    that must be repeated bit for bit names its strategy.
    """
    known = tap is not None and tap.features is not None
    names = [n for n, plan in STRATEGIES.items() if plan.exact and plan.jacobian >= jacobian]
    reference, times = torch.empty(0), {}
    for name in sorted(names, key=lambda name: name != "loop"):  # the plain loop first
        if STRATEGIES[name].from_trunk and not known:
            continue
        if name == "threads" and (torch.get_num_threads() == 1 or losses.is_cuda):
            continue  # nothing to gain
        strategy = STRATEGIES[name].kind(shared)
        try:
            found = _pass(name, strategy, losses, slopes, tap, beyond)
        except RuntimeError:
            if name == "loop":
                raise
            continue  # an operation of the model has no vectorised backward pass
        if name == "loop":
            reference = found
        elif not _equal(found, reference):
            continue
        started = time.perf_counter()
        for _ in range(REPEATS):
            _pass(name, strategy, losses, slopes, tap, beyond)
        times[name] = time.perf_counter() - started
        del strategy  # its gradients go before those of the next come
    return min(times, key=lambda name: times[name])


def _pass(
    name: str,
    strategy: Strategy,
    losses: Tensor,
    slopes: Tensor,
    tap: Tap | None,
    beyond: Sequence[Tensor],
) -> Tensor:
    """The Gramian, and the combination that a step would make of it."""
    plan = STRATEGIES[name]
    root = make_root(losses, slopes, tap if plan.from_trunk else None, beyond)
    strategy.differentiate(root, tap.calls if tap else ())
    found = strategy.gramian()
    strategy.combine(torch.ones(len(losses)))
    return found


def _equal(found: Tensor, reference: Tensor) -> bool:
    norms = reference.diagonal().sqrt()
    return bool(((found - reference).abs() <= GRAMIAN_TOLERANCE * torch.outer(norms, norms)).all())
