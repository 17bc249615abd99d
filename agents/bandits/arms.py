"""Agents that choose one of several arms (tasks), for one environment or for a vector of them."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.agents.saving import state_checks

LARGEST = 1e300  # rewards are clipped to this size, so that their sums and differences stay finite
_APART = ("observation_space", "action_space", "seed", *state_checks.STARTS)


@dataclass(frozen=True)
class Arms:
    """The arms of an action space of choices.

    Attributes:
        count: arms to choose from.
        rows: number of environments in the vector; None for a single one, whose actions are ints
            and rewards floats, not arrays of one axis.
    """

    count: int
    rows: int | None

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of arrays with an entry for each row and arm."""
        return (self.rows or 1), self.count

    def action(self, chosen: NDArray[np.int64]) -> Any:
        """The chosen arms, (rows,), as an action of the environment."""
        return int(chosen[0]) if self.rows is None else chosen

    def public(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """A copy of values of each row and arm, (arms,) where there is one environment."""
        return (values[0] if self.rows is None else values).copy()

    def one_hot(self, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """The distribution that always chooses these arms, (rows,), in public form."""
        return self.public(np.eye(self.count)[chosen])

    def chosen(self, action: Any) -> NDArray[np.int64]:
        """The arms that an action names, (rows,).

        Raises:
            ValueError: unless it is an integer in [0, arms) for each environment.
        """
        value = np.asarray(action)
        integers = value.dtype.kind in "iu" and value.shape == self._shape_of_one_each
        if not integers or np.any((value < 0) | (value >= self.count)):
            raise ValueError(
                f"`action` must be {self._one_each('an integer')} in [0, {self.count}), "
                f"not {action!r}"
            )
        return value.reshape(-1).astype(np.int64)

    def rewards(self, reward: Any) -> NDArray[np.float64]:
        """The rewards, (rows,), clipped to [-LARGEST, LARGEST].

        Raises:
            ValueError: unless there is a finite number for each environment.
        """
        value = np.asarray(reward)
        real = value.dtype.kind in "fiub" and value.shape == self._shape_of_one_each
        if not real or not np.isfinite(value).all():
            raise ValueError(
                f"`reward` must be {self._one_each('a finite number')}, not {reward!r}"
            )
        return value.reshape(-1).astype(np.float64).clip(-LARGEST, LARGEST)

    @property
    def _shape_of_one_each(self) -> tuple[int, ...]:
        return () if self.rows is None else (self.rows,)

    def _one_each(self, what: str) -> str:
        return what if self.rows is None else f"{what} for each of {self.rows} environments"


def read_arms(space: spaces.Space, agent: str) -> Arms:
    """The arms of an environment's or a vector environment's action space.

    Args:
        space: `Discrete(arms)`, or `MultiDiscrete([arms, arms, ...])`, one entry an environment.
        agent: name of the agent, for the message.

    Raises:
        ValueError: for another space.
    """
    if isinstance(space, spaces.Discrete) and space.start == 0:
        return Arms(int(space.n), None)
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        counts = set(space.nvec.tolist())
        if len(counts) == 1 and not np.any(space.start):
            return Arms(counts.pop(), len(space.nvec))
    raise ValueError(
        f"{agent} needs the action space Discrete(arms), or MultiDiscrete of equal numbers of arms "
        f"for a vector environment; `action_space` is {space}. In a training, "
        '`interface="tasks"` makes it one'
    )


def draw_arms(probabilities: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """An arm for each row, (rows,), from the rows' distributions, (rows, arms)."""
    below = probabilities.cumsum(axis=1)
    points = rng.random((len(probabilities), 1)) * below[:, -1:]
    return np.minimum((points >= below).sum(axis=1), probabilities.shape[1] - 1)


def check_share(name: str, value: Any) -> None:
    """Check that the value is a number in [0, 1].

    Raises:
        ValueError: names the argument and the value.
    """
    checks.real(name, value, 0.0)
    if value > 1:
        raise ValueError(f"`{name}` must lie in [0, 1], not {value!r}")


def settings_of(agent: Any, arms: Arms) -> dict[str, Any]:
    """The settings that a state must have in common with the agent: arms and most fields."""
    names = [each.name for each in fields(agent) if each.init and each.name not in _APART]
    return {"arms": arms.count, "rows": arms.rows} | {name: getattr(agent, name) for name in names}


def check_arms_state(state: dict[str, Any], agent: Any, arms: Arms) -> None:
    """Refuse a state of an agent with other settings, or an incomplete one.

    Raises:
        ValueError: names both settings, or the missing and unknown keys.
    """
    state_checks.check_state(state, agent, settings_of(agent, arms))
