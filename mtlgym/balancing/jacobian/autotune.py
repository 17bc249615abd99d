"""The choice of the fastest strategy on a model, by timing all exact ones once."""

import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtlgym.balancing.jacobian.hooks import TrunkHooks
from mtlgym.balancing.jacobian.strategies import STRATEGIES, Strategy
from mtlgym.balancing.jacobian.vjp import vjp_source

REPEATS = 2  # timed passes of each strategy, after one to warm up
TOLERANCE, HALF_TOLERANCE = 1e-3, 5e-2  # of a gradient, in units of its norm
GRAMIAN_TOLERANCE = 1e-3  # of a Gramian's entries, in units of the gradients' norms


def fastest(
    shared: Sequence[nn.Parameter],
    others: Sequence[Tensor],
    losses: Tensor,
    slopes: Tensor,
    hooks: TrunkHooks | None,
    *,
    jacobian: bool = False,
) -> str:
    """The name of the fastest exact strategy on these losses, whose graph is kept.

    A strategy that fails on the model, or whose Gramian is not that of the plain loop, is left out.
    The result depends on the machine's load as well, and strategies round differently: a run that
    must be repeated bit for bit names its strategy.

    Args:
        shared: the shared parameters.
        others: the parameters that are not shared.
        losses: (tasks,), with their graph.
        slopes: (tasks,), the factor of each loss's gradient.
        hooks: the shared module's hooks; None if it is not known.
        jacobian: choose among the strategies that form the tasks' Jacobian only.
    """
    known = hooks is not None and hooks.features is not None
    names = [n for n, spec in STRATEGIES.items() if spec.exact and spec.jacobian >= jacobian]
    reference, times = torch.empty(0), {}
    for name in sorted(names, key=lambda name: name != "loop"):  # the plain loop first
        if STRATEGIES[name].from_trunk and not known:
            continue
        if name == "threads" and (torch.get_num_threads() == 1 or losses.is_cuda):
            continue  # nothing to gain
        strategy = STRATEGIES[name].kind(shared)
        try:
            gramian = _run(name, strategy, losses, slopes, hooks, others)
        except RuntimeError:
            if name == "loop":
                raise
            continue  # an operation of the model has no vectorised backward pass
        if name == "loop":
            reference = gramian
        elif not _same_gramian(gramian, reference):
            continue
        started = time.perf_counter()
        for _ in range(REPEATS):
            _run(name, strategy, losses, slopes, hooks, others)
        times[name] = time.perf_counter() - started
        del strategy  # frees its gradients before the next strategy allocates its own
    return min(times, key=lambda name: times[name])


def weighted_gradient(
    losses: Tensor, inputs: Sequence[Tensor], slopes: Tensor
) -> list[Tensor | None]:
    """The gradient of sum slopes_t L_t; the graph is kept."""
    if not inputs:
        return []
    grads = torch.autograd.grad(losses, inputs, slopes, retain_graph=True, allow_unused=True)
    return list(grads)


def gradients_differ(
    actual: Sequence[Tensor | None], expected: Sequence[Tensor | None], *, half: bool
) -> bool:
    """Whether two gradients are further apart than by rounding; False if they are not finite."""
    pairs = [
        (
            torch.zeros_like(b) if a is None else a,  # type: ignore[arg-type]
            torch.zeros_like(a) if b is None else b,  # type: ignore[arg-type]
        )
        for a, b in zip(actual, expected, strict=True)
        if a is not None or b is not None
    ]
    distance = torch.stack([(a - b).norm() for a, b in pairs]).double().norm()
    size = torch.stack([b.norm() for _, b in pairs]).double().norm()
    return bool(distance > (HALF_TOLERANCE if half else TOLERANCE) * size)


def _run(
    name: str,
    strategy: Strategy,
    losses: Tensor,
    slopes: Tensor,
    hooks: TrunkHooks | None,
    others: Sequence[Tensor],
) -> Tensor:
    """Compute what one optimizer step needs, the combination included; return the Gramian."""
    spec = STRATEGIES[name]
    source = vjp_source(losses, slopes, hooks if spec.from_trunk else None, others)
    strategy.differentiate(source, hooks.calls if hooks else ())
    gramian = strategy.gramian()
    strategy.combine(torch.ones(len(losses)))
    return gramian


def _same_gramian(actual: Tensor, reference: Tensor) -> bool:
    norms = reference.diagonal().sqrt()
    return bool(((actual - reference).abs() <= GRAMIAN_TOLERANCE * torch.outer(norms, norms)).all())
