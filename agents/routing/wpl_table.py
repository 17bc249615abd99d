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
    """The policy's step: it slows down where it takes a probability towards its end.

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
    """A distribution of at least `floor` an arm; what is one already stays as it is.

    pi(a) = floor + (1 - arms floor) e(a) / sum e,  e(a) = clip(p(a), floor, 1) - floor: clip, and
    divide what lies above the floor by its sum. To divide all of it would take the arms at the
    floor below it. Where nothing lies above the floor the result is uniform.

    Args:
        policy: (..., arms), any numbers.
        floor: in [0, 1 / arms].
        allowed: (..., arms), arms that count, at least one in each row; the others get 0.
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
class Rule:
    """Settings of the weighted policy learner; see `WPL` for what they mean.

    Raises:
        ValueError: for one out of its range.
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


class Table:
    """A policy and the average returns of the arms for each of several states.

    Attributes:
        policy: (states, arms).
    """

    def __init__(self, states: int, arms: int, rule: Rule) -> None:
        """Uniform policies.

        Raises:
            ValueError: if the floor is too high for that many arms.
        """
        if rule.floor * arms > 1:
            raise ValueError(f"`floor` must be at most 1 / {arms}, not {rule.floor!r}")
        self._rule = rule
        self.policy = np.full((states, arms), 1 / arms)
        self._cells = np.arange(states * arms).reshape(states, arms)
        self._averages = Averages(states * arms, rule.value_step)

    @property
    def values(self) -> NDArray[np.float64]:
        """The average returns, a fresh array (states, arms); 0 for arms not tried yet."""
        return self._averages.of(self._cells)

    def distribution(self, state: Index, allowed: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The policy given that the arm is an allowed one, (K, arms).

        Args:
            state: (K,).
            allowed: (K, arms), at least one in each row.
        """
        policy = np.where(allowed, self.policy[state], 0.0)
        return policy / policy.sum(axis=1, keepdims=True)

    def learn(
        self, state: Index, chosen: Index, returns: NDArray[np.float64], allowed: NDArray[np.bool_]
    ) -> None:
        """Take in K decisions at once: first their returns, then a step for each decision.

        The steps of a state's decisions are added up before the policy is projected. What an arm
        that is not allowed has of the table's policy stays as it is.

        Args:
            state: (K,).
            chosen: (K,), arms.
            returns: (K,).
            allowed: (K, arms), what could be chosen, at least one in each row.
        """
        cells = self._cells[state, chosen]
        errors = returns - self._averages.of(cells)
        self._averages.take(cells, returns)
        policy = self.distribution(state, allowed)
        if VARIANTS[self._rule.variant]:
            values = self._averages.of(self._cells[state])
            advantage = values - (policy * values).sum(axis=1, keepdims=True)
        else:
            advantage = np.zeros(policy.shape)
            advantage[np.arange(len(state)), chosen] = errors
        step = scaled(np.where(allowed, advantage, 0.0), policy, self._rule.scaling)
        self._move(state, self._rule.learning_rate * step, allowed)

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that changes."""
        return {"policy": self.policy.copy(), "averages": self._averages.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.policy = state["policy"].copy()
        self._averages.load_state_dict(state["averages"])

    def _move(self, state: Index, step: NDArray[np.float64], allowed: NDArray[np.bool_]) -> None:
        """Add up the states' steps, (K, arms), of policies given that the arm is allowed."""
        states, which = np.unique(state, return_inverse=True)
        old = self.policy[states]
        shares = np.where(allowed, self.policy[state], 0.0).sum(axis=1, keepdims=True)
        moved, moves = old.copy(), np.zeros(old.shape, np.bool_)
        np.add.at(moved, which, shares * step)
        np.logical_or.at(moves, which, allowed)
        share = np.where(moves, old, 0.0).sum(axis=1, keepdims=True)
        policy = share * project(moved / share, self._rule.floor, moves)
        self.policy[states] = np.where(moves, policy, old)
