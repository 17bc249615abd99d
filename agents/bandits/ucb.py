"""Upper confidence bounds: UCB1 and its sliding-window form."""

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.agents.bandits.arms import check_arms_state, read_arms, settings_of


class Window:
    """Counts of pulls and sums of rewards of each arm over the last pulls of a row.

    Nothing is ever subtracted from a sum, so a huge reward leaves no rounding error behind when it
    leaves the window. The window is a ring buffer. When it wraps around, all its pulls are old, and
    each slot receives the sum of its arm's old rewards after it, which is the arm's sum once the
    slot is overwritten. Rewards of new pulls are added up separately.

    Attributes:
        size: pulls that count.
        seen: pulls of each row so far.
        pulls: of each arm within the window; (rows, arms).
    """

    def __init__(self, rows: int, arms: int, size: int) -> None:
        """Create an empty window of that many pulls."""
        self.size, self.seen = size, 0
        self.pulls = np.zeros((rows, arms))
        self._old, self._new = np.zeros((rows, arms)), np.zeros((rows, arms))
        self._arms = np.zeros((rows, size), np.int64)
        self._values = np.zeros((rows, size))

    @property
    def sums(self) -> NDArray[np.float64]:
        """Of the rewards of each arm within the window; (rows, arms)."""
        return self._old + self._new

    def add(self, chosen: NDArray[np.int64], rewards: NDArray[np.float64]) -> None:
        """Add a pull of each row, (rows,), and remove the oldest one of a full window."""
        rows, slot = np.arange(len(chosen)), self.seen % self.size
        if self.seen and slot == 0:
            self._age(rows)
        if self.seen >= self.size:
            leaving = self._arms[:, slot]
            self.pulls[rows, leaving] -= 1
            self._old[rows, leaving] = self._values[:, slot]
        self._arms[:, slot], self._values[:, slot] = chosen, rewards
        self.pulls[rows, chosen] += 1
        self._new[rows, chosen] += rewards
        self.seen += 1

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that changes."""
        arrays = {"pulls": self.pulls, "old": self._old, "new": self._new}
        arrays |= {"arms": self._arms, "values": self._values}
        return {"seen": self.seen} | {name: array.copy() for name, array in arrays.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict` of a window of this size."""
        self.seen, self.pulls = state["seen"], state["pulls"].copy()
        self._old, self._new = state["old"].copy(), state["new"].copy()
        self._arms, self._values = state["arms"].copy(), state["values"].copy()

    def _age(self, rows: NDArray[np.int64]) -> None:
        later = np.zeros_like(self._new)
        for slot in reversed(range(self.size)):
            place = rows, self._arms[:, slot]
            earned = self._values[:, slot].copy()
            self._values[:, slot] = later[place]
            later[place] += earned
        self._old, self._new = later, np.zeros_like(later)


@dataclass(eq=False)
class UCB1:
    """Choose the arm of the largest mean reward plus a bonus for arms that were seldom pulled.

    mean_k + c sqrt(2 ln t / n_k), with n_k pulls of arm k among t in all. Each arm is pulled once
    before, and of equal arms the first is taken. A new episode does not reset it. Rewards
    are clipped to 1e300 in size.

    Source: Auer, Cesa-Bianchi, Fischer, "Finite-time analysis of the multiarmed bandit problem"
    (Machine Learning 47, 2002), figure 1.
    Differs from it in that rewards outside [0, 1] are allowed; `c` should then be their range.

    Attributes:
        observation_space: any; observations are not used.
        action_space: `Discrete(arms)`, or `MultiDiscrete([arms] * rows)` for as many bandits.
        seed: accepted as by every agent, and not used: nothing is drawn.
        c: weight of the bonus, in the reward's unit, at least 0.

    Raises:
        ValueError: for another action space, or a setting out of its range.
    """

    observation_space: spaces.Space
    action_space: spaces.Space
    _: KW_ONLY
    seed: int | None = None
    c: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings and start without pulls."""
        self._arms = read_arms(self.action_space, "UCB1")
        checks.real("c", self.c, 0.0)
        self._pulls = np.zeros(self._arms.shape)
        self._means = np.zeros(self._arms.shape)

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
        """Learn from the reward of the action, or those of each row, (rows,).

        Raises:
            ValueError: for an action that is no arm, or a reward that is not finite.
        """
        chosen, rewards = self._arms.chosen(action), self._arms.rewards(reward)
        place = np.arange(len(chosen)), chosen
        self._pulls[place] += 1
        self._means[place] += (rewards - self._means[place]) / self._pulls[place]

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that a run changes."""
        return {
            "settings": settings_of(self, self._arms),
            "pulls": self._pulls.copy(),
            "means": self._means.copy(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`; the run then continues bit-identically.

        Raises:
            ValueError: for the state of an agent with other arms or settings.
        """
        check_arms_state(state, self, self._arms)
        self._pulls, self._means = state["pulls"].copy(), state["means"].copy()

    def _choose(self) -> NDArray[np.int64]:
        steps = max(1.0, float(self._pulls[0].sum()))  # the same in each row
        return _highest(self._means, self._pulls, self.c * math.sqrt(2 * math.log(steps)))


@dataclass(eq=False)
class SlidingWindowUCB:
    """Choose by upper confidence bounds over the last pulls only, to follow changes.

    mean_k + c sqrt(xi ln min(t, window) / n_k), with mean and number n_k of arm k's pulls among
    the last `window` of the t in all. An arm without any among them comes first, and of equal arms
    the first is taken. A new episode does not reset it. Rewards are clipped to 1e300 in
    size.

    Source: Garivier, Moulines, "On upper-confidence bound policies for switching bandit problems"
    (ALT 2011), https://arxiv.org/abs/0805.3415, SW-UCB; c is their B, the rewards' upper bound.

    Attributes:
        observation_space: any; observations are not used.
        action_space: `Discrete(arms)`, or `MultiDiscrete([arms] * rows)` for as many bandits.
        seed: accepted as by every agent, and not used: nothing is drawn.
        window: pulls that count, their tau.
        xi: weight of the bonus under the root, at least 0; their proof needs more than 1 / 2.
        c: weight of the bonus, in the reward's unit, at least 0.

    Raises:
        ValueError: for another action space, or a setting out of its range.
    """

    observation_space: spaces.Space
    action_space: spaces.Space
    _: KW_ONLY
    seed: int | None = None
    window: int = 1000
    xi: float = 0.6
    c: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings and start without pulls."""
        self._arms = read_arms(self.action_space, "SlidingWindowUCB")
        checks.integer("window", self.window, least=1)
        checks.real("xi", self.xi, 0.0)
        checks.real("c", self.c, 0.0)
        self._recent = Window(*self._arms.shape, self.window)

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
        """Learn from the reward of the action, or those of each row, (rows,).

        Raises:
            ValueError: for an action that is no arm, or a reward that is not finite.
        """
        self._recent.add(self._arms.chosen(action), self._arms.rewards(reward))

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that a run changes."""
        return {
            "settings": settings_of(self, self._arms),
            "recent": self._recent.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`; the run then continues bit-identically.

        Raises:
            ValueError: for the state of an agent with other arms or settings.
        """
        check_arms_state(state, self, self._arms)
        self._recent.load_state_dict(state["recent"])

    def _choose(self) -> NDArray[np.int64]:
        recent = self._recent
        means = recent.sums / np.maximum(recent.pulls, 1)
        steps = max(1, min(recent.seen, recent.size))
        return _highest(means, recent.pulls, self.c * math.sqrt(self.xi * math.log(steps)))


def _highest(
    means: NDArray[np.float64], pulls: NDArray[np.float64], width: float
) -> NDArray[np.int64]:
    """The first arm of each row with the highest mean + width / sqrt(pulls), infinite for none."""
    bounds = means + width / np.sqrt(np.maximum(pulls, 1))
    return np.where(pulls > 0, bounds, np.inf).argmax(axis=1)
