"""Thompson sampling: choose each arm with its posterior probability of being the best."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from mtlgym import checks
from mtlgym.agents.bandits.arms import check_arms_state, check_share, read_arms, settings_of
from mtlgym.agents.streams import generator

# Quantiles of every variable at which the integral is cut: even, and finer towards both ends.
_TAIL = np.geomspace(1e-10, 1e-3, 60)
_CUTS = np.concatenate([_TAIL, np.linspace(1e-3, 1 - 1e-3, 800)[1:-1], 1 - _TAIL[::-1]])


def probabilities_of_largest(
    centres: NDArray[np.float64], spreads: NDArray[np.float64], freedoms: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The probability that each of independent variables centre + spread t is the largest.

    Accurate to about 1e-6.

    P_k = integral of prod_{j != k} F_j dF_k, with the distribution functions F of Student's t, by
    the trapezoidal rule between the quantiles of all variables.

    Args:
        centres: (variables,).
        spreads: above 0; (variables,).
        freedoms: degrees of freedom of t, above 0; (variables,).

    Returns:
        Probabilities that sum to 1; (variables,).
    """
    centre, spread, freedom = centres[:, None], spreads[:, None], freedoms[:, None]
    points = np.sort((centre + spread * stdtrit(freedom, _CUTS)).ravel())
    below = stdtr(freedom, (points - centre) / spread)  # F_j, (variables, points)
    ones = np.ones((1, len(points)))
    before = np.cumprod(np.concatenate([ones, below[:-1]]), axis=0)
    after = np.cumprod(np.concatenate([ones, below[:0:-1]]), axis=0)[::-1]
    others = before * after
    heights = (others[:, 1:] + others[:, :-1]) / 2
    found = (heights * np.diff(below, axis=1)).sum(axis=1) + others[:, -1] * (1 - below[:, -1])
    return found / found.sum()


MOST = 1e150  # rewards are clipped to this size, so that squares stay finite


@dataclass(eq=False)
class ThompsonSampling:
    """Choose the arm of the largest mean reward, with means drawn from their posterior.

    The rewards of an arm are modelled as normal, of unknown mean and variance, with the prior

        variance ~ inverse gamma(shape, scale),    mean | variance ~ N(mean, variance / strength),

    and after n rewards of mean x and sum of squared deviations s the posterior of the arm's mean is

        (strength mean + n x) / k + sqrt(b / (a k)) t,    k = strength + n,    a = shape + n / 2,
        b = scale + s / 2 + strength n (x - mean)^2 / (2 k),

    with t of Student's distribution with 2 a degrees of freedom. With `discount` below 1, n and s
    of all arms shrink by it at each step, and the posterior of an arm that is not pulled returns
    to the prior.

    By default the prior's mean is that of all rewards so far, and its scale `shape` times their
    variance. Then choices do not change when a number is added to all rewards, or they are
    multiplied by a positive one. Rewards are clipped to 1e150 in size. A new episode does not
    reset it.

    Source: Thompson (Biometrika 25, 1933); the model is that of Honda, Takemura, "Optimality of
    Thompson sampling for Gaussian bandits depends on priors" (AISTATS 2014).
    Differs from it in that the prior is proper, so that no arm has to be pulled beforehand.

    Attributes:
        observation_space: any; observations are not used.
        action_space: `Discrete(arms)`, or `MultiDiscrete([arms] * rows)` for as many bandits.
        seed: seed of its generator; None takes fresh entropy.
        mean: the prior mean of an arm's rewards; None for the mean of all rewards so far.
        strength: rewards that `mean` counts as, above 0.
        shape: half the rewards that `scale` counts as, at least 0.1.
        scale: of the prior, whose variance is about scale / shape; above 0, in the reward's unit
            squared, or None for `shape` times the variance of all rewards so far.
        discount: of past rewards at each step, in (0, 1].

    Raises:
        ValueError: for another action space, or a setting out of its range.
    """

    observation_space: spaces.Space
    action_space: spaces.Space
    _: KW_ONLY
    seed: int | None = None
    mean: float | int | None = None
    strength: float = 1.0
    shape: float = 1.0
    scale: float | int | None = None
    discount: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings and start without rewards."""
        self._arms = read_arms(self.action_space, "ThompsonSampling")
        if self.mean is not None:
            checks.real("mean", self.mean)
        checks.real("shape", self.shape, 0.1)
        for name in ("strength", "discount", *(["scale"] if self.scale is not None else [])):
            checks.real(name, vars(self)[name], 0.0, open_end=True)
        check_share("discount", self.discount)
        self._rng = generator(self.seed)
        self._counts = np.zeros(self._arms.shape)
        self._means = np.zeros(self._arms.shape)
        self._squares = np.zeros(self._arms.shape)  # sums of squared deviations from the means

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """How likely `act` is to choose each arm, to 1e-6; (arms,) or (rows, arms).

        Found by numerical integration, which takes milliseconds a row and is no part of `act`.
        """
        rows = zip(*self._beliefs(), strict=True)
        return self._arms.public(np.stack([probabilities_of_largest(*row) for row in rows]))

    def act(self, observation: Any, info: dict[str, Any]) -> Any:
        """The arm to pull, an int, or one for each row, (rows,)."""
        centres, spreads, freedoms = self._beliefs()
        drawn = centres + spreads * self._rng.standard_t(freedoms)
        return self._arms.action(drawn.argmax(axis=1))

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
        """Learn from the reward of the action, or those of each row, (rows,).

        Raises:
            ValueError: for an action that is no arm, or a reward that is not finite.
        """
        chosen, rewards = self._arms.chosen(action), self._arms.rewards(reward).clip(-MOST, MOST)
        place = np.arange(len(chosen)), chosen
        self._counts *= self.discount
        self._squares *= self.discount
        self._counts[place] += 1
        away = rewards - self._means[place]
        self._means[place] += away / self._counts[place]
        self._squares[place] += away * (rewards - self._means[place])

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that a run changes."""
        return {
            "settings": settings_of(self, self._arms),
            "counts": self._counts.copy(),
            "means": self._means.copy(),
            "squares": self._squares.copy(),
            "rng": self._rng.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`; the run then continues bit-identically.

        Raises:
            ValueError: for the state of an agent with other arms or settings.
        """
        check_arms_state(state, self, self._arms)
        self._counts, self._means = state["counts"].copy(), state["means"].copy()
        self._squares = state["squares"].copy()
        self._rng.bit_generator.state = state["rng"]

    def _beliefs(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Centre less the prior mean, spread and degrees of freedom of each arm's mean reward."""
        counts, squares = self._counts, self._squares
        away = self._means - (self._overall() if self.mean is None else self.mean)
        if self.scale is None:
            total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
            deviations = (squares + counts * away**2).sum(axis=1, keepdims=True)
            scale = self.shape * deviations / total
        else:
            scale = np.full((len(counts), 1), self.scale)
        known, shape = self.strength + counts, self.shape + counts / 2
        centres = counts * away / known
        scales = scale + squares / 2 + self.strength * counts * away**2 / (2 * known)
        # Equal rewards leave no spread; a tiny one makes the choice among equal arms uniform.
        least = np.maximum(1e-9 * np.abs(centres).max(axis=1, keepdims=True), 1 / MOST)
        return centres, np.maximum(np.sqrt(scales / (shape * known)), least), 2 * shape

    def _overall(self) -> NDArray[np.float64]:
        """The mean of all rewards, (rows, 1); exact where they are all equal."""
        most = self._counts.argmax(axis=1)[:, None]
        start = np.take_along_axis(self._means, most, axis=1)
        total = np.maximum(self._counts.sum(axis=1, keepdims=True), 1)
        return start + (self._counts * (self._means - start)).sum(axis=1, keepdims=True) / total
