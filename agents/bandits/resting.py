"""A greedy policy that rests arms which no longer gain."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.agents.bandits.arms import check_arms_state, check_share, read_arms, settings_of


@dataclass(eq=False)
class Resting:
    """Pull the arm with the largest gain, and rest arms which no longer gain.

    For tasks that can be learnt completely and are forgotten slowly, where a reward is the gain of
    a pull. Each arm has a gain g, the running mean of its rewards while it did not rest, and a rest
    w in steps, 0 at first. After a reward r:

        if w = 0 and r >= g / 4:  g <- g + rate (r - g),
        otherwise:                w <- max(w, 1) clip(fill g / r, 1 / 2, growth),

    where w below 1 becomes 0, and w never exceeds the steps so far. So a fully learnt arm
    is pulled again when it has lost about `fill` of the gain of a pull, and the rests of an arm
    that gains more get shorter, down to 0. Arms never pulled come first; then, of the arms whose
    rest is over, the one of the largest g; where all rest, the one that is due first; of equal
    arms the first. Where g <= 0, r / g counts as infinite if r is positive, and as 0 if not.

    It needs neither the budget nor observations. A new episode does not reset it. Rewards
    are clipped to 1e300 in size.

    Source: none; made for the bandit of Glover, Hokamp (2019), https://arxiv.org/abs/1907.06214,
    section 4.1.

    Attributes:
        observation_space: any; observations are not used.
        action_space: `Discrete(arms)`, or `MultiDiscrete([arms] * rows)` for as many bandits.
        seed: accepted as by every agent, and not used: nothing is drawn.
        fill: share of a full gain that a pull after a rest should bring, in (0, 1].
        growth: largest factor by which a rest grows, above 1.
        rate: weight of the last reward in the running mean, in (0, 1].

    Raises:
        ValueError: for another action space, or a setting out of its range.
    """

    observation_space: spaces.Space
    action_space: spaces.Space
    _: KW_ONLY
    seed: int | None = None
    fill: float = 0.8
    growth: float = 4.0
    rate: float = 0.1

    def __post_init__(self) -> None:
        """Check the settings and start without pulls."""
        self._arms = read_arms(self.action_space, "Resting")
        for name in ("fill", "rate"):
            check_share(name, vars(self)[name])
            checks.real(name, vars(self)[name], 0.0, open_end=True)
        checks.real("growth", self.growth, 1.0, open_end=True)
        self._steps = 0
        self._gains = np.full(self._arms.shape, np.inf)  # until the first pull
        self._rests = np.zeros(self._arms.shape)
        self._due = np.zeros(self._arms.shape)  # the step from which on an arm may be pulled

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """1 for the arm that `act` chooses, 0 for the others; (arms,) or (rows, arms)."""
        return self._arms.one_hot(self._choose())

    def act(self, observation: Any, info: dict[str, Any]) -> Any:
        """The arm to pull, an int, or one for each row, (rows,)."""
        return self._arms.action(self._choose())

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
        """Learn from the gain of the action, or those of each row, (rows,).

        Raises:
            ValueError: for an action that is no arm, or a reward that is not finite.
        """
        chosen, rewards = self._arms.chosen(action), self._arms.rewards(reward)
        place = np.arange(len(chosen)), chosen
        gains, rests = self._gains[place], self._rests[place]
        gains = np.where(np.isinf(gains), rewards, gains)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            shares = np.where(rewards > 0, rewards / np.maximum(gains, 0), 0)
            factors = np.clip(self.fill / shares, 0.5, self.growth)
        free = (rests == 0) & (shares >= 0.25)
        rests = np.where(free, 0, np.maximum(rests, 1) * factors)
        self._steps += 1
        self._rests[place] = np.where(rests < 1, 0, np.minimum(rests, self._steps))
        self._due[place] = self._steps + self._rests[place]
        self._gains[place] = np.where(free, gains + self.rate * (rewards - gains), gains)

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that a run changes."""
        return {
            "settings": settings_of(self, self._arms),
            "steps": self._steps,
            "gains": self._gains.copy(),
            "rests": self._rests.copy(),
            "due": self._due.copy(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`; the run then continues bit-identically.

        Raises:
            ValueError: for the state of an agent with other arms or settings.
        """
        check_arms_state(state, self, self._arms)
        self._steps, self._due = state["steps"], state["due"].copy()
        self._gains, self._rests = state["gains"].copy(), state["rests"].copy()

    def _choose(self) -> NDArray[np.int64]:
        resting = self._due > self._steps
        free = np.where(resting, -np.inf, self._gains).argmax(axis=1)
        return np.where(resting.all(axis=1), self._due.argmin(axis=1), free)
