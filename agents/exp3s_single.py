"""Exp3.S for one bandit, on lists."""

from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.agents import choice
from mtlgym.agents.reservoir import Reservoir

BLOCK = 256  # random numbers that are drawn at once: a call of the generator costs a microsecond


@dataclass(frozen=True)
class Rule:
    """What the engines for one bandit and for many need to know.

    Attributes:
        eta: learning rate.
        epsilon: share of the choices that are uniform.
        by_pi: whether estimates divide by pi, not by rho.
        reservoir: rewards kept to find the percentiles; 0 takes rewards as they are.
    """

    eta: float
    epsilon: float
    by_pi: bool
    reservoir: int

    def distribution(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The distribution pi of each row, (rows, arms)."""
        rho = weights / weights.sum(axis=1, keepdims=True)
        return (1 - self.epsilon) * rho + self.epsilon / weights.shape[1]


class Single:
    """Exp3.S for one bandit, on Python's own numbers: for few arms they are the fastest.

    It keeps exp(omega). Only the chosen arm's estimate differs from 0, so an update multiplies
    that arm's weight by exp(eta r~), or the others' by its inverse where that does not overflow.
    Scaled to the sum 1, w' = (1 - alpha N / (N - 1)) w + alpha / (N - 1) is equation 5, and keeps
    every weight at 1 / (t (N - 1)) or more.
    """

    def __init__(self, rule: Rule, arms: choice.Arms, rng: np.random.Generator) -> None:
        """Equal weights."""
        self._arms, self._count, self._rng = arms, arms.count, rng
        self._eta, self._epsilon, self._by_pi = rule.eta, rule.epsilon, rule.by_pi
        self._weights = [1 / arms.count] * arms.count
        self._seen = 0  # rewards
        self._reservoir = Reservoir(rule.reservoir, []) if rule.reservoir else None
        self._block: list[float] = []  # random numbers to come, the next one last

    @property
    def weights(self) -> NDArray[np.float64]:
        """Up to a common factor exp(omega); (1, arms)."""
        return np.array([self._weights])

    def act(self) -> int:
        """The arm to pull."""
        point, epsilon = (self._block or self._drawn()).pop(), self._epsilon
        if point < epsilon:
            return int(point / epsilon * self._count)
        cumulated = list(accumulate(self._weights))
        point = (point - epsilon) / (1 - epsilon) * cumulated[-1]
        return bisect(cumulated, point, 0, self._count - 1)

    def learn(self, action: Any, reward: Any) -> None:
        """Update the weights."""
        if type(action) is not int or not 0 <= action < self._count:
            action = int(self._arms.chosen(action)[0])
        if type(reward) is not float or not -choice.LARGEST <= reward <= choice.LARGEST:
            reward = float(self._arms.rewards(reward)[0])
        seen, reservoir = self._seen + 1, self._reservoir
        if reservoir is not None:
            full = seen > reservoir.size
            reservoir.take(reward, seen, (self._block or self._drawn()).pop() if full else 0.0)
            reward = reservoir.scaled(reward)
        self._seen = seen
        if self._count > 1:
            self._update(action, reward)

    def state_dict(self) -> dict[str, Any]:
        """All that a run changes."""
        return {
            "weights": self.weights,
            "seen": self._seen,
            "kept": np.array([self._reservoir.kept if self._reservoir else []], float),
            "block": np.array(self._block, float),
            "rng": self._rng.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned; weights of any sum will do."""
        self._weights, self._seen = state["weights"][0].tolist(), state["seen"]
        if self._reservoir is not None:
            self._reservoir = Reservoir(self._reservoir.size, state["kept"][0].tolist())
        self._block = state["block"].tolist()
        self._rng.bit_generator.state = state["rng"]

    def _drawn(self) -> list[float]:
        self._block = self._rng.random(BLOCK).tolist()
        return self._block

    def _update(self, action: int, reward: float) -> None:
        weights, count = self._weights, self._count
        weight = weights[action]
        weights[action] = 0.0
        rest = sum(weights)
        share = weight / (weight + rest)
        if self._by_pi:
            share = (1 - self._epsilon) * share + self._epsilon / count
        change, others = self._eta * reward / share, 1.0
        if change < 0:
            weight *= exp(change)
        else:
            others = exp(-change)
        mixed = 1 / ((self._seen + 1) * (count - 1))  # alpha / (N - 1)
        kept = (1 - mixed * count) / (weight + rest * others)
        others *= kept
        self._weights = [each * others + mixed for each in weights]
        self._weights[action] = weight * kept + mixed
