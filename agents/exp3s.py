"""Exp3.S: the bandit algorithm that follows the best arm as it changes."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.agents import choice
from mtlgym.agents.exp3s_rows import Rows
from mtlgym.agents.exp3s_single import Rule, Single
from mtlgym.agents.streams import generator
from mtlgym.lookup import lookup

BY_PI = {"pi": True, "rho": False}


@dataclass(eq=False)
class Exp3S:
    """Choose arms whose rewards are high of late, and now and then any.

    pi = (1 - epsilon) rho + epsilon / N with rho = softmax(omega). A reward r of arm a, brought to
    [-1, 1] by the 20th and 80th percentiles of a reservoir of rewards that includes it, is
    estimated as r~_k = r [k = a] / rho_k, and

        omega'_k = log((1 - alpha) exp(omega_k + eta r~_k)
                       + alpha / (N - 1) sum_{j != k} exp(omega_j + eta r~_j)).

    omega starts at 0, and alpha = 1 / t for the update that makes the omega of round t, so 1 / 2
    for the first. Where the percentiles coincide a reward below them is -1, one above them 1, and
    one that equals them 0. Rewards past 1e300 in size count as 1e300. A new episode does not start
    it afresh.

    Source: Glover, Hokamp (2019), https://arxiv.org/abs/1907.06214, equations 5 and 6, after Auer
    et al. (SIAM J. Comput. 32, 2002) and Graves et al. (ICML 2017).
    Differs from it in that `importance="pi"`, the form of Auer et al. and Graves et al., makes the
    estimates unbiased and at most N / epsilon; the size of the reservoir was not published.

    Attributes:
        observation_space: any; what is observed is not used.
        action_space: `Discrete(arms)`, or `MultiDiscrete([arms] * rows)` for as many bandits.
        seed: start of its generator; None takes fresh entropy.
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
        self._arms = choice.read(self.action_space, "Exp3S")
        checks.real("eta", self.eta, 0.0)
        choice.share("epsilon", self.epsilon)
        checks.integer("reservoir", self.reservoir, least=1)
        checks.flag("scale", self.scale)
        by_pi = lookup(BY_PI, self.importance, "importance")
        self._rule = Rule(self.eta, self.epsilon, by_pi, self.reservoir if self.scale else 0)
        engine = Single if self._arms.rows is None else Rows
        self._engine: Single | Rows = engine(self._rule, self._arms, generator(self.seed))

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """The distribution pi that `act` draws from; (arms,) or (rows, arms)."""
        return self._arms.public(self._rule.distribution(self._engine.weights))

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
        return {"settings": choice.settings(self, self._arms), **self._engine.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue, bit for bit, from what `state_dict` returned; only omega's differences count.

        Raises:
            ValueError: for the state of an agent with other arms or settings.
        """
        choice.check_state(state, self, self._arms)
        self._engine.load_state_dict(state)
