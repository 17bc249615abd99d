"""Exp3: the bandit algorithm for arbitrary, also adversarial, rewards."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.agents.bandits.arms import (
    check_arms_state,
    check_share,
    draw_arms,
    read_arms,
    settings_of,
)
from mtlgym.agents.bandits.reservoir import Reservoirs
from mtlgym.agents.streams import generator


@dataclass(eq=False)
class Exp3:
    """Choose arms by exponential weights of their estimated total rewards.

    p = (1 - gamma) w / sum w + gamma / N. After a reward x of arm a, w_a is multiplied by
    exp(gamma x^ / N), x^ = x / p_a; the logarithms of w are kept.

    x lies in [0, 1]. With `scale` it is (r + 1) / 2, where r is the reward scaled to [-1, 1] by the
    percentiles of a reservoir, as in Exp3.S; see `Reservoir.scaled`. A new episode does
    not reset it.

    Source: Auer, Cesa-Bianchi, Freund, Schapire, "The nonstochastic multiarmed bandit problem"
    (SIAM J. Comput. 32, 2002), algorithm Exp3.
    Differs from it in that rewards of any range are scaled, unless `scale` is False.

    Attributes:
        observation_space: any; observations are not used.
        action_space: `Discrete(arms)`, or `MultiDiscrete([arms] * rows)` for as many bandits.
        seed: seed of its generator; None takes fresh entropy.
        gamma: share of the choices that are uniform, and learning rate; in (0, 1].
        reservoir: rewards kept to find the percentiles.
        scale: False takes the rewards as they are, and refuses those outside [0, 1].

    Raises:
        ValueError: for another action space, or a setting out of its range.
    """

    observation_space: spaces.Space
    action_space: spaces.Space
    _: KW_ONLY
    seed: int | None = None
    gamma: float = 0.1
    reservoir: int = 1000
    scale: bool = True

    def __post_init__(self) -> None:
        """Check the settings and start with equal weights."""
        self._arms = read_arms(self.action_space, "Exp3")
        check_share("gamma", self.gamma)
        checks.real("gamma", self.gamma, 0.0, open_end=True)
        checks.integer("reservoir", self.reservoir, least=1)
        checks.flag("scale", self.scale)
        self._rng = generator(self.seed)
        self._log_weights = np.zeros(self._arms.shape)
        self._seen = 0  # rewards of each row
        self._reservoirs = Reservoirs(self._arms.shape[0], self.reservoir)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """The distribution p that `act` draws from; (arms,) or (rows, arms)."""
        return self._arms.public(self._distribution())

    def act(self, observation: Any, info: dict[str, Any]) -> Any:
        """The arm to pull, an int, or one for each row, (rows,)."""
        return self._arms.action(draw_arms(self._distribution(), self._rng))

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
            ValueError: for an action that is no arm, or a reward that is not finite or, without
                `scale`, outside [0, 1].
        """
        chosen, rewards = self._arms.chosen(action), self._arms.rewards(reward)
        if self.scale:
            rewards = (self._reservoirs.scaled(rewards, self._rng) + 1) / 2
        elif np.any((rewards < 0) | (rewards > 1)):
            raise ValueError(f"`reward` must lie in [0, 1] unless `scale` is True, not {reward!r}")
        rows = np.arange(len(chosen))
        estimates = rewards / self._distribution()[rows, chosen]
        self._log_weights[rows, chosen] += self.gamma * estimates / self._arms.count
        self._log_weights -= self._log_weights.max(axis=1, keepdims=True)
        self._seen += 1

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that a run changes."""
        return {
            "settings": settings_of(self, self._arms),
            "log_weights": self._log_weights.copy(),
            "seen": self._seen,
            "kept": self._reservoirs.kept(),
            "rng": self._rng.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`; the run then continues bit-identically.

        Raises:
            ValueError: for the state of an agent with other arms or settings.
        """
        check_arms_state(state, self, self._arms)
        self._log_weights, self._seen = state["log_weights"].copy(), state["seen"]
        self._reservoirs.load(state["kept"], self._seen)
        self._rng.bit_generator.state = state["rng"]

    def _distribution(self) -> NDArray[np.float64]:
        weights = np.exp(self._log_weights)  # the largest is 1
        rho = weights / weights.sum(axis=1, keepdims=True)
        return (1 - self.gamma) * rho + self.gamma / self._arms.count
