"""Tables of policies and average returns that learn by the weighted policy learner's rule."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.agents.bandits.arms import check_share
from mtlgym.agents.routing.averages import Averages
from mtlgym.agents.routing.observations import Index
from mtlgym.lookup import lookup

Array = NDArray[np.float64]
SCALINGS = {"weighted": True, "as_printed": False}


def scaled(advantage: Array, policy: Array, scaling: str) -> Array:
    """The policy's step: it gets smaller as a probability approaches 0 or 1.

    "weighted": a negative advantage times pi(a), a positive one times 1 - pi(a). "as_printed": the
    other way round, with which policies of games end in a corner.

    Source: Abdallah, Lesser, "A multiagent reinforcement learning algorithm with non-linear
    dynamics" (JAIR 33, 2008). As far as is known, Rosenbaum et al. (ICLR 2018) print it reversed.

    Args:
        advantage: (..., arms).
        policy: (..., arms), in [0, 1].
        scaling: a key of `SCALINGS`.
    """
    falls = advantage < 0
    return advantage * np.where(falls == SCALINGS[scaling], policy, 1 - policy)


def project(
    policy: Array, floor: float, allowed: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """The projection onto the distributions of at least `floor` an arm.

    A distribution with that floor is returned unchanged.

    pi(a) = floor + (1 - arms floor) e(a) / sum e,  e(a) = clip(p(a), floor, 1) - floor: clip, and
    divide the excess over the floor by its sum. Dividing the whole would push the arms at the
    floor below it. If no arm exceeds the floor the result is uniform.

    Args:
        policy: (..., arms), any numbers.
        floor: in [0, 1 / arms].
        allowed: (..., arms), at least one in each row; the other arms get 0.
    """
    above = np.clip(policy, floor, 1.0) - floor
    if allowed is None:
        allowed = np.ones(policy.shape, np.bool_)
    above = np.where(allowed, above, 0.0)
    count, total = allowed.sum(-1, keepdims=True), above.sum(-1, keepdims=True)
    share = np.where(total > 0, above, 1.0) / np.where(total > 0, total, count)
    return np.where(allowed, floor + (1 - count * floor) * share, 0.0)


VARIANTS = {"all_actions": True, "paper_trace": False}


@dataclass(frozen=True)
class WPLSettings:
    """Settings of the weighted policy learner, described in `WPL`.

    Raises:
        ValueError: for a setting out of its range.
    """

    learning_rate: float = 0.1
    value_step: float = 0.01
    floor: float = 1e-3
    scaling: str = "weighted"
    variant: str = "all_actions"

    def __post_init__(self) -> None:
        """Check the settings."""
        checks.real("learning_rate", self.learning_rate, 0.0)
        check_share("value_step", self.value_step)
        checks.fraction("floor", self.floor)
        lookup(SCALINGS, self.scaling, "scaling")
        lookup(VARIANTS, self.variant, "variant")


class WPLTable:
    """A policy and the average returns of the arms for each of several states.

    Attributes:
        policy: (states, arms).
    """

    def __init__(self, states: int, arms: int, settings: WPLSettings) -> None:
        """Start with uniform policies.

        Raises:
            ValueError: if the floor is too high for that many arms.
        """
        if settings.floor * arms > 1:
            raise ValueError(f"`floor` must be at most 1 / {arms}, not {settings.floor!r}")
        self._settings = settings
        self.policy = np.full((states, arms), 1 / arms)
        self._cells = np.arange(states * arms).reshape(states, arms)
        self._averages = Averages(states * arms, settings.value_step)

    @property
    def values(self) -> NDArray[np.float64]:
        """The average returns, a fresh array (states, arms); 0 for arms not tried yet."""
        return self._averages.of(self._cells)

    def distribution(self, state: Index, allowed: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The policy restricted to the allowed arms and normalised, (K, arms).

        Args:
            state: (K,).
            allowed: (K, arms), at least one in each row.
        """
        policy = np.where(allowed, self.policy[state], 0.0)
        return policy / policy.sum(axis=1, keepdims=True)

    def learn(
        self, state: Index, chosen: Index, returns: NDArray[np.float64], allowed: NDArray[np.bool_]
    ) -> None:
        """Learn from K decisions at once: first add their returns, then step for each decision.

        The steps of a state's decisions are added up before the policy is projected. The
        probability that the table has for an arm that is not allowed stays as it is.

        Args:
            state: (K,).
            chosen: (K,), arms.
            returns: (K,).
            allowed: (K, arms), arms that could be chosen, at least one in each row.
        """
        cells = self._cells[state, chosen]
        errors = returns - self._averages.of(cells)
        self._averages.add(cells, returns)
        policy = self.distribution(state, allowed)
        if VARIANTS[self._settings.variant]:
            values = self._averages.of(self._cells[state])
            advantage = values - (policy * values).sum(axis=1, keepdims=True)
        else:
            advantage = np.zeros(policy.shape)
            advantage[np.arange(len(state)), chosen] = errors
        step = scaled(np.where(allowed, advantage, 0.0), policy, self._settings.scaling)
        self._move(state, self._settings.learning_rate * step, allowed)

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that changes."""
        return {"policy": self.policy.copy(), "averages": self._averages.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`."""
        self.policy = state["policy"].copy()
        self._averages.load_state_dict(state["averages"])

    def _move(self, state: Index, step: NDArray[np.float64], allowed: NDArray[np.bool_]) -> None:
        """Add up the states' steps, (K, arms), which are of policies restricted to allowed arms."""
        states, which = np.unique(state, return_inverse=True)
        old = self.policy[states]
        shares = np.where(allowed, self.policy[state], 0.0).sum(axis=1, keepdims=True)
        moved, moves = old.copy(), np.zeros(old.shape, np.bool_)
        np.add.at(moved, which, shares * step)
        np.logical_or.at(moves, which, allowed)
        share = np.where(moves, old, 0.0).sum(axis=1, keepdims=True)
        policy = share * project(moved / share, self._settings.floor, moves)
        self.policy[states] = np.where(moves, policy, old)
