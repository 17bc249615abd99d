"""Exp3.S: the bandit algorithm that follows the best arm as it changes."""

from bisect import bisect
from dataclasses import KW_ONLY, dataclass
from itertools import accumulate
from math import exp
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.agents.bandits.arms import (
    LARGEST,
    Arms,
    check_arms_state,
    check_share,
    draw_arms,
    read_arms,
    settings_of,
)
from mtlgym.agents.bandits.reservoir import Reservoir, Reservoirs
from mtlgym.agents.streams import generator
from mtlgym.lookup import lookup

BLOCK = 256  # random numbers drawn at once: a call of the generator costs a microsecond


@dataclass(frozen=True)
class Exp3SSettings:
    """The settings of Exp3.S, for one bandit or for many.

    Attributes:
        eta: learning rate.
        epsilon: share of the choices that are uniform.
        by_pi: whether estimates divide by pi, not by rho.
        reservoir: size of the sample of rewards for the percentiles; 0 does not scale rewards.
    """

    eta: float
    epsilon: float
    by_pi: bool
    reservoir: int

    def distribution(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The distribution pi of each row, (rows, arms)."""
        rho = weights / weights.sum(axis=1, keepdims=True)
        return (1 - self.epsilon) * rho + self.epsilon / weights.shape[1]


class SingleBandit:
    """Exp3.S for one bandit, on Python's own numbers: for few arms they are the fastest.

    It keeps exp(omega). Only the chosen arm's estimate differs from 0, so an update multiplies
    that arm's weight by exp(eta r~), or the others' by its inverse where that does not overflow.
    Scaled to the sum 1, w' = (1 - alpha N / (N - 1)) w + alpha / (N - 1) is equation 5, and keeps
    every weight at 1 / (t (N - 1)) or more.
    """

    def __init__(self, settings: Exp3SSettings, arms: Arms, rng: np.random.Generator) -> None:
        """Start with equal weights."""
        self._arms, self._count, self._rng = arms, arms.count, rng
        self._eta, self._epsilon, self._by_pi = settings.eta, settings.epsilon, settings.by_pi
        self._weights = [1 / arms.count] * arms.count
        self._seen = 0  # rewards
        self._reservoir = Reservoir(settings.reservoir, []) if settings.reservoir else None
        self._block: list[float] = []  # random numbers not used yet, the next one last

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
        if type(reward) is not float or not -LARGEST <= reward <= LARGEST:
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
        """A copy of all that changes."""
        return {
            "weights": self.weights,
            "seen": self._seen,
            "kept": np.array([self._reservoir.kept if self._reservoir else []], float),
            "block": np.array(self._block, float),
            "rng": self._rng.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`; its weights may have any sum."""
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


BY_PI = {"pi": True, "rho": False}


@dataclass(eq=False)
class Exp3S:
    """Choose arms with high recent rewards, and with a small probability any arm.

    pi = (1 - epsilon) rho + epsilon / N with rho = softmax(omega). A reward r of arm a, scaled to
    [-1, 1] by the 20th and 80th percentiles of a reservoir of rewards that includes it, is
    estimated as r~_k = r [k = a] / rho_k, and

        omega'_k = log((1 - alpha) exp(omega_k + eta r~_k)
                       + alpha / (N - 1) sum_{j != k} exp(omega_j + eta r~_j)).

    omega starts at 0, and alpha = 1 / t for the update that gives the omega of round t, so 1 / 2
    for the first. Where the percentiles coincide a reward below them is -1, one above them 1, and
    one that equals them 0. Rewards are clipped to 1e300 in size. A new episode does not
    reset it.

    Source: Glover, Hokamp (2019), https://arxiv.org/abs/1907.06214, equations 5 and 6, after Auer
    et al. (SIAM J. Comput. 32, 2002) and Graves et al. (ICML 2017).
    Differs from it in that `importance="pi"`, the form of Auer et al. and Graves et al., makes the
    estimates unbiased and at most N / epsilon; the size of the reservoir was not published.

    Attributes:
        observation_space: any; observations are not used.
        action_space: `Discrete(arms)`, or `MultiDiscrete([arms] * rows)` for as many bandits.
        seed: seed of its generator; None takes fresh entropy.
        eta: learning rate, at least 0.
        epsilon: share of the choices that are uniform, in [0, 1].
        importance: what the reward is divided by, "rho" or "pi".
        reservoir: rewards kept to find the percentiles.
        scale: False takes the rewards as they are.

    Raises:
        ValueError: for another action space, or a setting out of its range.
    """

    observation_space: spaces.Space
    action_space: spaces.Space
    _: KW_ONLY
    seed: int | None = None
    eta: float = 1e-3
    epsilon: float = 0.05
    importance: str = "rho"
    reservoir: int = 1000
    scale: bool = True

    def __post_init__(self) -> None:
        """Check the settings and start with equal weights."""
        self._arms = read_arms(self.action_space, "Exp3S")
        checks.real("eta", self.eta, 0.0)
        check_share("epsilon", self.epsilon)
        checks.integer("reservoir", self.reservoir, least=1)
        checks.flag("scale", self.scale)
        by_pi = lookup(BY_PI, self.importance, "importance")
        self._settings = Exp3SSettings(
            self.eta, self.epsilon, by_pi, self.reservoir if self.scale else 0
        )
        engine = SingleBandit if self._arms.rows is None else ManyBandits
        self._engine: SingleBandit | ManyBandits = engine(
            self._settings, self._arms, generator(self.seed)
        )

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """The distribution pi that `act` draws from; (arms,) or (rows, arms)."""
        return self._arms.public(self._settings.distribution(self._engine.weights))

    @property
    def rho(self) -> NDArray[np.float64]:
        """Softmax of omega; (arms,) or (rows, arms)."""
        weights = self._engine.weights
        return self._arms.public(weights / weights.sum(axis=1, keepdims=True))

    @property
    def omega(self) -> NDArray[np.float64]:
        """The log weights, in nats, up to a constant in each row; (arms,) or (rows, arms)."""
        return self._arms.public(np.log(self._engine.weights))

    def act(self, observation: Any, info: dict[str, Any]) -> Any:
        """The arm to pull, an int, or one for each row, (rows,)."""
        return self._engine.act()

    def learn(
        self,
        observation: Any,
        action: Any,
        reward: Any,
        next_observation: Any,
        terminated: Any,
        truncated: Any,
        info: dict[str, Any],
    ) -> None:
        """Update the weights by the reward of the action, or by those of each row, (rows,).

        Raises:
            ValueError: for an action that is no arm, or a reward that is not finite.
        """
        self._engine.learn(action, reward)

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that a run changes; `weights` are exp(omega), (rows, arms)."""
        return {"settings": settings_of(self, self._arms), **self._engine.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`; the run then continues bit-identically.

        Only the differences of omega in it matter.

        Raises:
            ValueError: for the state of an agent with other arms or settings.
        """
        check_arms_state(state, self, self._arms)
        self._engine.load_state_dict(state)


class ManyBandits:
    """Exp3.S for many bandits at once, on arrays; see `SingleBandit` for the arithmetic."""

    def __init__(self, settings: Exp3SSettings, arms: Arms, rng: np.random.Generator) -> None:
        """Start with equal weights."""
        self._settings, self._arms, self._rng = settings, arms, rng
        self.weights = np.full(arms.shape, 1 / arms.count)
        self._seen = 0  # rewards of each row
        self._reservoirs = Reservoirs(arms.shape[0], settings.reservoir)

    def act(self) -> NDArray[np.int64]:
        """The arm to pull in each row."""
        return draw_arms(self._settings.distribution(self.weights), self._rng)

    def learn(self, action: Any, reward: Any) -> None:
        """Update the weights."""
        chosen, rewards = self._arms.chosen(action), self._arms.rewards(reward)
        if self._settings.reservoir:
            rewards = self._reservoirs.scaled(rewards, self._rng)
        self._seen += 1
        if self._arms.count > 1:
            self._update(chosen, rewards)

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that changes."""
        return {
            "weights": self.weights.copy(),
            "seen": self._seen,
            "kept": self._reservoirs.kept(),
            "rng": self._rng.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`; its weights may have any sum."""
        self.weights, self._seen = state["weights"].copy(), state["seen"]
        self._reservoirs.load(state["kept"], self._seen)
        self._rng.bit_generator.state = state["rng"]

    def _update(self, chosen: NDArray[np.int64], rewards: NDArray[np.float64]) -> None:
        rows, count, settings = np.arange(len(chosen)), self._arms.count, self._settings
        weight, unchosen = self.weights[rows, chosen], self.weights.copy()
        unchosen[rows, chosen] = 0
        rest = unchosen.sum(axis=1)
        share = weight / (weight + rest)
        if settings.by_pi:
            share = (1 - settings.epsilon) * share + settings.epsilon / count
        with np.errstate(over="ignore"):
            change = settings.eta * rewards / share
        weight = weight * np.exp(np.minimum(change, 0))
        others = np.exp(-np.maximum(change, 0))
        mixed = 1 / ((self._seen + 1) * (count - 1))  # alpha / (N - 1)
        kept = (1 - mixed * count) / (weight + rest * others)
        self.weights = unchosen * (others * kept)[:, None] + mixed
        self.weights[rows, chosen] = weight * kept + mixed
