"""Which strategy is the fastest on a model: all that are exact are tried once."""

import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtlgym.training.jacobian import STRATEGIES, Strategy
from mtlgym.training.roots import make_root
from mtlgym.training.tap import Tap

REPEATS = 2  # timed passes of each strategy, after one to warm up
TOLERANCE = 1e-3  # of a Gramian's entries, in units of the gradients' norms


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
    return bool(((found - reference).abs() <= TOLERANCE * torch.outer(norms, norms)).all())
