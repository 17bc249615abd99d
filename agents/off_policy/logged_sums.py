"""Sums over logged decisions, from which the value of a fixed policy is estimated."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.agents.off_policy.log import check_decisions, pool


class LoggedSums:
    """Sums over decisions, so that the value of a policy costs O(arms) for any number of them.

    Of the decisions t for arm k, with reward r_t and propensity p_t, the probability that the
    policy which made the decision chose k with, these sums are kept:

        S_k = sum r_t / p_t,    C_k = sum 1 / p_t,

    and those of 1 / p_t^2, r_t / p_t^2 and r_t^2 / p_t^2, for the standard error of the values.
    The sums of pooled logs are the sums of the sums.

    Attributes:
        moments: the five sums, in that order; (5, arms), or (5, rows, arms).
        count: T, the number of decisions; without axes, or (rows,).
        tasks: names of the arms, or none.
    """

    def __init__(self, arms: int, *, rows: int | None = None, tasks: tuple[str, ...] = ()) -> None:
        """Start without decisions.

        Args:
            arms: number of arms to choose from.
            rows: number of policies whose decisions are added up separately; None for one policy,
                without an axis of rows.
            tasks: names of the arms, or none.
        """
        shape = () if rows is None else (rows,)
        self.moments = np.zeros((5, *shape, arms))
        self.count = np.zeros(shape, np.int64)
        self.tasks = tasks

    @classmethod
    def of(cls, log: Any) -> "LoggedSums":
        """The sums over one log, or several that are pooled.

        Args:
            log: an `OffPolicyLog`, `LoggedDecisions` or the path of a file; or a list of such.

        Raises:
            OSError: if a file cannot be read.
            ValueError: for a damaged file, or logs of different arms; names both.
        """
        found = pool(log if isinstance(log, list | tuple) else [log])
        sums = cls(found.arms, tasks=found.tasks)
        terms = _terms(found.propensities, found.rewards)
        sums.moments[:] = [np.bincount(found.actions, each, found.arms) for each in terms]
        sums.count += len(found)
        return sums

    @property
    def rewards(self) -> NDArray[np.float64]:
        """S, the rewards over their propensities, summed; (arms,) or (rows, arms)."""
        return self.moments[0]

    @property
    def weights(self) -> NDArray[np.float64]:
        """C, one over the propensities, summed; (arms,) or (rows, arms)."""
        return self.moments[1]

    @property
    def untried(self) -> NDArray[np.bool_]:
        """Arms without a decision; (arms,) or (rows, arms)."""
        return self.weights == 0

    def add(self, action: Any, propensity: Any, reward: Any, *, counted: Any = True) -> None:
        """Add a decision, or one for each row.

        Args:
            action: the chosen arm; an int, or (rows,).
            propensity: the probability that it was chosen with, in (0, 1]; a float, or (rows,).
            reward: reward of the action, finite; a float, or (rows,).
            counted: whether to add it; a bool, or (rows,).

        Raises:
            ValueError: for another shape or a value out of its range; nothing is added then.
        """
        _check_shapes(self.count.shape, action=action, propensity=propensity, reward=reward)
        check_decisions(action, propensity, reward, self.moments.shape[-1])
        self.add_checked(action, propensity, reward, counted)

    def add_checked(self, action: Any, propensity: Any, reward: Any, counted: Any) -> None:
        """Add decisions like `add`, for values of the right shape and range.

        Raises:
            ValueError: where the square of reward over propensity is not finite.
        """
        rows = () if self.count.ndim == 0 else (np.arange(len(self.count)),)
        self.moments[:, *rows, action] += _terms(propensity, reward) * counted
        self.count += counted

    def row(self, row: int) -> "LoggedSums":
        """A copy of the sums of one row."""
        copied = LoggedSums(self.moments.shape[-1], tasks=self.tasks)
        copied.moments[:], copied.count[()] = self.moments[:, row], self.count[row]
        return copied

    def clear(self, row: int) -> None:
        """Remove the decisions of one row."""
        self.moments[:, row], self.count[row] = 0, 0

    def __add__(self, other: "LoggedSums") -> "LoggedSums":
        """The sums of the pooled decisions.

        Raises:
            ValueError: for sums over other arms, or of other rows.
        """
        named = () not in (self.tasks, other.tasks)
        shapes = self.moments.shape[1:], other.moments.shape[1:]
        if shapes[0] != shapes[1] or (named and self.tasks != other.tasks):
            raise ValueError(
                f"sums of shape {shapes[0]} over {self.tasks} and of shape {shapes[1]} over "
                f"{other.tasks} cannot be added"
            )
        total = LoggedSums(shapes[0][-1], tasks=self.tasks or other.tasks)
        total.moments, total.count = self.moments + other.moments, self.count + other.count
        return total


def _terms(propensity: Any, reward: Any) -> NDArray[np.float64]:
    """The terms of the five sums; (5,) or (5, decisions)."""
    with np.errstate(over="ignore"):
        weight = np.divide(1.0, propensity)
        weighted = weight * reward
        terms = np.array([weighted, weight, weight**2, weight * weighted, weighted**2])
    if not np.isfinite(terms).all():
        raise ValueError(
            f"`propensity` is too small, or `reward` too large, for the square of their ratio: "
            f"the least is {np.min(propensity)}, the largest {np.max(np.abs(reward))}"
        )
    return terms


def _check_shapes(shape: tuple[int, ...], **values: Any) -> None:
    """Refuse values of another shape.

    Raises:
        ValueError: names the argument and its shape.
    """
    for name, value in values.items():
        if np.shape(value) != shape:
            raise ValueError(f"`{name}` must have the shape {shape}, not {np.shape(value)}")
