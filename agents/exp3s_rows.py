"""Exp3.S for many bandits at once, on arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.agents import choice
from mtlgym.agents.exp3s_single import Rule
from mtlgym.agents.reservoir import Reservoirs


class Rows:
    """Exp3.S for many bandits at once, on arrays; see `Single` for the arithmetic."""

    def __init__(self, rule: Rule, arms: choice.Arms, rng: np.random.Generator) -> None:
        """Equal weights."""
        self._rule, self._arms, self._rng = rule, arms, rng
        self.weights = np.full(arms.shape, 1 / arms.count)
        self._seen = 0  # rewards of each row
        self._reservoirs = Reservoirs(arms.shape[0], rule.reservoir)

    def act(self) -> NDArray[np.int64]:
        """The arm to pull in each row."""
        return choice.draw(self._rule.distribution(self.weights), self._rng)

    def learn(self, action: Any, reward: Any) -> None:
        """Update the weights."""
        chosen, rewards = self._arms.chosen(action), self._arms.rewards(reward)
        if self._rule.reservoir:
            rewards = self._reservoirs.scaled(rewards, self._rng)
        self._seen += 1
        if self._arms.count > 1:
            self._update(chosen, rewards)

    def state_dict(self) -> dict[str, Any]:
        """All that a run changes."""
        return {
            "weights": self.weights.copy(),
            "seen": self._seen,
            "kept": self._reservoirs.kept(),
            "rng": self._rng.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned; weights of any sum will do."""
        self.weights, self._seen = state["weights"].copy(), state["seen"]
        self._reservoirs.load(state["kept"], self._seen)
        self._rng.bit_generator.state = state["rng"]

    def _update(self, chosen: NDArray[np.int64], rewards: NDArray[np.float64]) -> None:
        rows, count, rule = np.arange(len(chosen)), self._arms.count, self._rule
        weight, unchosen = self.weights[rows, chosen], self.weights.copy()
        unchosen[rows, chosen] = 0
        rest = unchosen.sum(axis=1)
        share = weight / (weight + rest)
        if rule.by_pi:
            share = (1 - rule.epsilon) * share + rule.epsilon / count
        with np.errstate(over="ignore"):
            change = rule.eta * rewards / share
        weight = weight * np.exp(np.minimum(change, 0))
        others = np.exp(-np.maximum(change, 0))
        mixed = 1 / ((self._seen + 1) * (count - 1))  # alpha / (N - 1)
        kept = (1 - mixed * count) / (weight + rest * others)
        self.weights = unchosen * (others * kept)[:, None] + mixed
        self.weights[rows, chosen] = weight * kept + mixed
