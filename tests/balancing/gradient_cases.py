"""Gradients to run the gradient methods on."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtlgym.balancing import GRADIENT_METHODS

JACOBIAN = torch.tensor([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]], dtype=torch.float64)
Array = NDArray[Any]


def weights_of(name: str, gradients: Array, **settings: Any) -> Array:
    gramian = torch.from_numpy(gradients @ gradients.T)
    weights: Array = GRADIENT_METHODS[name](**settings)(gramian).numpy()
    return weights


def _random(rng: np.random.Generator, tasks: int) -> Array:
    return rng.standard_normal((tasks, tasks + 50))


def _aligned(rng: np.random.Generator, tasks: int) -> Array:
    return _random(rng, tasks) + rng.choice([0.2, 1.0]) * rng.standard_normal(tasks + 50)


def _crowded(rng: np.random.Generator, tasks: int) -> Array:
    return rng.standard_normal((tasks, tasks + 3))


def _equal(rng: np.random.Generator, tasks: int) -> Array:
    return _random(rng, tasks)[rng.integers(max(1, tasks // 2), size=tasks)]


def _low_rank(rng: np.random.Generator, tasks: int) -> Array:
    return rng.standard_normal((tasks, max(1, tasks // 2)))


def _signs(rng: np.random.Generator, tasks: int) -> Array:
    return rng.choice([-1.0, 1.0], (tasks, 1))


def _rank_one(rng: np.random.Generator, tasks: int) -> Array:
    return _signs(rng, tasks) * rng.standard_normal(7)


def _parallel(rng: np.random.Generator, tasks: int) -> Array:
    return rng.standard_normal(tasks + 50) + 10 ** rng.uniform(-12, -3) * _random(rng, tasks)


def _opposing(rng: np.random.Generator, tasks: int) -> Array:
    return _signs(rng, tasks) * _parallel(rng, tasks)


def _opposing_pairs(rng: np.random.Generator, tasks: int) -> Array:
    gradients = _random(rng, tasks)
    noise = 10 ** rng.uniform(-16, -3) * _random(rng, tasks)[: tasks // 2, : tasks + 50]
    gradients[1::2] = noise - gradients[0 : tasks - tasks % 2 : 2]
    return gradients


def _integer(rng: np.random.Generator, tasks: int) -> Array:
    gradients = rng.integers(-1, 2, (tasks, max(2, tasks // 2))).astype(float)
    gradients[~gradients.any(axis=1)] = 1.0
    return gradients


def _some_zero(rng: np.random.Generator, tasks: int) -> Array:
    return _random(rng, tasks) * (rng.permutation(tasks)[:, None] <= 0.7 * tasks)


# in these the direction is about as long as what it is made of
Family = Callable[[np.random.Generator, int], Array]
WELL_POSED: dict[str, Family] = {
    "random": _random,
    "aligned": _aligned,
    "crowded": _crowded,
    "equal": _equal,
}
ILL_POSED: dict[str, Family] = {
    "low_rank": _low_rank,
    "rank_one": _rank_one,
    "parallel": _parallel,
    "opposing": _opposing,
    "opposing_pairs": _opposing_pairs,
    "integer": _integer,
    "some_zero": _some_zero,
}


def gradients_of(family: str, tasks: int, seed: int, decades: float = 12.0) -> Array:
    """Gradients, one a row, with norms spread log-uniformly over 10^-d/2 to 10^d/2."""
    rng = np.random.default_rng([seed, tasks])
    rows = {**WELL_POSED, **ILL_POSED}[family](rng, tasks)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    lengths[lengths == 0] = 1.0
    spread = 10 ** rng.uniform(-decades / 2, decades / 2, (tasks, 1))
    if family == "equal":  # equal in length, too
        spread[:] = spread[0]
    result: Array = rows / lengths * spread
    return result


KINDS: dict[str, Any] = GRADIENT_METHODS
FROM_GRAMIAN = sorted(name for name in KINDS if not KINDS[name].needs_jacobian)
FROM_JACOBIAN = sorted(set(KINDS) - set(FROM_GRAMIAN))
LOSSES = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)


def jacobian(seed: int, tasks: int = 3) -> Tensor:
    return torch.from_numpy(gradients_of("random", tasks, seed, decades=2.0))


def call(method: Any, rows: Tensor, losses: Tensor | None = None) -> Tensor:
    """The weights, or the direction of a method that needs the gradients themselves."""
    given = rows if method.needs_jacobian else rows @ rows.T
    result: Tensor = method(given, losses)
    return result


def run(method: Any, seeds: range) -> list[Tensor]:
    return [call(method, jacobian(seed), LOSSES * (1 + seed)) for seed in seeds]
