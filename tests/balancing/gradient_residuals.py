"""How far an answer is from its method's definition.

A residual is the violation of the published conditions of optimality, in coordinates in which every
gradient has length 1, over a unit: the direction's length, or, where gradients nearly cancel, the
sum of the |w_i| |g_i| that the direction is made of, of which float64 can represent no better part.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from mtlgym.balancing.gradients.upgrad import projections

Array = NDArray[Any]


class Answer:
    """A method's weights, in the coordinates in which each gradient has length 1."""

    def __init__(self, gradients: Array, weights: Array, *, strict: bool) -> None:
        wide = gradients.astype(np.longdouble)
        self.gradients, self.weights, self.strict = wide, weights.astype(np.longdouble), strict
        self.norms = np.sqrt((wide**2).sum(axis=1))
        self.there = self.norms > 0
        self.rows = wide / np.where(self.there, self.norms, 1)[:, None]
        self.amounts = self.weights * self.norms
        self.mass = np.abs(self.amounts).sum()
        self.direction = self.amounts @ self.rows
        self.length = np.sqrt((self.direction**2).sum())
        self.slopes = self.rows @ self.direction  # of each task's loss, over its gradient's norm
        self.unit = max(self.length if strict else self.mass, np.longdouble(1e-300))

    def distance(self, direction: Array) -> float:
        return float(np.sqrt(((self.direction - direction) ** 2).sum()) / self.unit)

    def added(self) -> Array:
        """What the weights are above 1 / tasks, where that is more than rounding."""
        above = self.weights - 1 / len(self.weights)
        return np.where(np.abs(above) > 1e-15 * self.weights, above, 0)

    def stationary(self, needed: Array, amounts: Array) -> float:
        """How far slopes are below what is needed, or above it where amounts are positive."""
        excess = (self.slopes - needed)[self.there] / self.unit
        share = amounts[self.there] / max(np.abs(amounts).max(), 1e-300)
        return float(max(-excess.min(), (np.abs(excess) * share).max(), -share.min()))


def mgda(answer: Answer) -> float:
    off = abs(float(answer.weights.sum()) - 1)
    if not answer.there.all():
        return max(off, float(answer.weights[answer.there].max(initial=0)))
    needed = answer.length**2 / answer.norms
    return max(off, answer.stationary(needed, answer.amounts))


def imtl_g(answer: Answer) -> float:
    slopes = answer.slopes[answer.there] / answer.unit
    return max(abs(float(answer.weights.sum()) - 1), float(slopes.max() - slopes.min()))


def fairgrad(answer: Answer, alpha: float = 2.0) -> float:
    norms = answer.norms[answer.there]
    wanted = answer.weights[answer.there] ** (-1 / alpha) / norms
    return float((np.abs(answer.slopes[answer.there] - wanted) / answer.unit).max())


def nash(answer: Answer) -> float:
    """Each task's |w (K w) - 1|, or next to the terms that this is the sum of."""
    amounts = answer.amounts[answer.there]
    size = 1.0 if answer.strict else 1 + amounts * answer.mass
    return float((np.abs(amounts * answer.slopes[answer.there] - 1) / size).max())


def cagrad(answer: Answer, c: float = 0.5) -> float:
    mean = answer.gradients.mean(axis=0)
    radius = c * np.sqrt((mean**2).sum())
    added = answer.added()
    step = np.sqrt(((answer.direction - mean) ** 2).sum())
    inside = answer.there & (added > 0)
    # for the best d all tasks with a part in g_v are served by the same amount, and no task by less
    served = (answer.gradients @ answer.direction)[inside]
    gain = served @ added[inside] / max(added[inside].sum(), 1e-300)
    needed = gain / np.where(answer.there, answer.norms, 1)
    short = float(abs(step - radius) / (radius if answer.strict else answer.mass))
    residual = max(short, answer.stationary(needed, added * answer.norms))
    if not answer.strict and step < radius:  # right too if no task can be served by more than zero
        residual = min(residual, answer.stationary(0 * needed, added * answer.norms))
    return residual


def dualproj(answer: Answer) -> float:
    return answer.stationary(np.zeros(len(answer.norms)), answer.added() * answer.norms)


def upgrad(answer: Answer) -> float:
    """The distance from the mean of the projections that another algorithm finds.

    Where gradients nearly cancel those are ill-conditioned: then the conditions of each projection.
    """
    if not answer.strict:
        added = projections((answer.rows @ answer.rows.T).astype(float))
        none = np.zeros(len(added))
        each = (Answer(answer.rows, row, strict=False) for row in np.eye(len(added)) + added)
        return max(part.stationary(none, row) for part, row in zip(each, added, strict=True))
    rows = answer.rows.astype(float)
    parts = []
    for row, norm in zip(rows, answer.norms, strict=True):
        parts.append(norm * (row + rows.T @ nnls(rows.T, -row)[0]))
    return answer.distance(np.mean(parts, axis=0))


def aligned_mtl(answer: Answer) -> float:
    """The distance from the shortest singular value times the mean of the nearest rotation."""
    lengths, rows, turn = jacobi_svd(answer.gradients[answer.there])
    rank = np.linalg.matrix_rank(answer.rows.astype(float), tol=1e-6)
    there = np.argsort(lengths)[-rank:]
    wanted = lengths[there].min() * turn[there].sum(axis=1) @ rows[there]
    return answer.distance(wanted / len(answer.weights))


def jacobi_svd(gradients: Array) -> tuple[Array, Array, Array]:
    """Lengths l, orthonormal rows R and rotation V with G = V' diag(l) R, by one-sided Jacobi."""
    rows = gradients.copy()
    turn = np.eye(len(rows), dtype=rows.dtype)
    for _ in range(60):
        largest = 0.0
        for i in range(len(rows)):
            for j in range(i):
                a, b, c = rows[i] @ rows[i], rows[j] @ rows[j], rows[i] @ rows[j]
                if abs(c) <= 1e-19 * np.sqrt(a * b) or min(a, b) < 1e-60:
                    continue
                largest = max(largest, float(abs(c) / np.sqrt(a * b)))
                ratio = (b - a) / (2 * c)
                sign = 1 if ratio >= 0 else -1
                tangent = sign / (abs(ratio) + np.sqrt(1 + ratio**2))
                cosine = 1 / np.sqrt(1 + tangent**2)
                for matrix in (rows, turn):
                    first = matrix[i].copy()
                    matrix[i] = cosine * (first - tangent * matrix[j])
                    matrix[j] = cosine * (tangent * first + matrix[j])
        if largest < 1e-18:
            break
    lengths = np.sqrt((rows**2).sum(axis=1))
    return lengths, rows / np.where(lengths > 0, lengths, 1)[:, None], turn


def pcgrad(answer: Answer) -> float:
    """The distance from Algorithm 1 on the gradients themselves, in the first call's orders."""
    tasks = len(answer.rows)
    orders = np.random.default_rng([0, 0]).permuted(np.tile(np.arange(tasks), (tasks, 1)), axis=1)
    total = np.zeros_like(answer.direction)
    for i, order in enumerate(orders):
        part = answer.gradients[i].copy()
        for j in order[order != i]:
            part -= min(part @ answer.rows[j], 0) * answer.rows[j]
        total += part
    return answer.distance(total)


RESIDUALS: dict[str, Callable[[Answer], float]] = {
    "aligned_mtl": aligned_mtl,
    "cagrad": cagrad,
    "dualproj": dualproj,
    "fairgrad": fairgrad,
    "imtl_g": imtl_g,
    "mgda": mgda,
    "nash": nash,
    "pcgrad": pcgrad,
    "upgrad": upgrad,
}
