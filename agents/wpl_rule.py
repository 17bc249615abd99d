"""The arithmetic of the weighted policy learner, on arrays whose last axis is the arms."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SCALINGS = {"weighted": True, "as_printed": False}


def scaled(advantage: Array, policy: Array, scaling: str) -> Array:
    """The policy's step: it slows down where it takes a probability towards its end.

    "weighted": a negative advantage times pi(a), a positive one times 1 - pi(a). "as_printed": the
    other way round, with which policies of games end in a corner.

    Source: Abdallah, Lesser, "A multiagent reinforcement learning algorithm with non-linear
    dynamics" (JAIR 33, 2008). As far as is known, Rosenbaum et al. (ICLR 2018) print it reversed.

    Args:
        advantage: (..., arms).
        policy: (..., arms), in [0, 1].
        scaling: a key of `SCALINGS`.
    """
    falls = advantage < 0
    return advantage * np.where(falls == SCALINGS[scaling], policy, 1 - policy)


def project(
    policy: Array, floor: float, allowed: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """A distribution of at least `floor` an arm; what is one already stays as it is.

    pi(a) = floor + (1 - arms floor) e(a) / sum e,  e(a) = clip(p(a), floor, 1) - floor: clip, and
    divide what lies above the floor by its sum. To divide all of it would take the arms at the
    floor below it. Where nothing lies above the floor the result is uniform.

    Args:
        policy: (..., arms), any numbers.
        floor: in [0, 1 / arms].
        allowed: (..., arms), arms that count, at least one in each row; the others get 0.
    """
    above = np.clip(policy, floor, 1.0) - floor
    if allowed is None:
        allowed = np.ones(policy.shape, np.bool_)
    above = np.where(allowed, above, 0.0)
    count, total = allowed.sum(-1, keepdims=True), above.sum(-1, keepdims=True)
    share = np.where(total > 0, above, 1.0) / np.where(total > 0, total, count)
    return np.where(allowed, floor + (1 - count * floor) * share, 0.0)


def kept(visits: Array, count: Array, value_step: float) -> Array:
    """What is left of a running average after `count` more numbers; their mean gets the rest.

    The n-th number has the weight max(1 / n, value_step): a plain average at first and, from the
    (1 / value_step)-th on, one that forgets. The plain part is exact, in any order; in the other
    the numbers of one batch, which have no order, count alike.

    Args:
        visits: numbers taken in so far.
        count: numbers that come now.
        value_step: in [0, 1]; 0 for the plain average.
    """
    limit = np.floor(1 / value_step) if value_step else np.inf
    plain = np.clip(limit - visits, 0, count)
    seen = visits + plain
    return visits / np.maximum(seen, 1) * (1 - value_step) ** (count - plain)
