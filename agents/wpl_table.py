"""Tables of policies and average returns that learn by the weighted policy learner's rule."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.agents import wpl_rule
from mtlgym.agents.averages import Averages
from mtlgym.agents.bandits.arms import check_share
from mtlgym.agents.states import Index
from mtlgym.lookup import lookup

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
        lookup(wpl_rule.SCALINGS, self.scaling, "scaling")
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
        step = wpl_rule.scaled(np.where(allowed, advantage, 0.0), policy, self._rule.scaling)
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
        policy = share * wpl_rule.project(moved / share, self._rule.floor, moves)
        self.policy[states] = np.where(moves, policy, old)
