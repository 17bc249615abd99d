"""A distribution over arms that stays, and draws from it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.agents import choice, restoring
from mtlgym.agents.streams import generator


class Distribution:
    """Draws arms from a distribution that is given, or that the first info has.

    Attributes:
        values: the distribution of each row, (rows, arms); None until it is known.
    """

    def __init__(
        self,
        arms: choice.Arms,
        seed: int | None,
        given: Any,
        names: tuple[str, str],
        read: Callable[[str, NDArray[np.float64]], NDArray[np.float64]],
    ) -> None:
        """Make the distribution of what is given, if anything is.

        Args:
            arms: to draw from.
            seed: start of the generator; None takes fresh entropy.
            given: numbers, (arms,) or (rows, arms), or None.
            names: of the argument that gave them, and of the info's entry that holds them if not.
            read: makes distributions of numbers, (..., arms), or refuses them by name.

        Raises:
            ValueError: for another shape, or numbers that make no distribution.
        """
        self._arms, self._rng = arms, generator(seed)
        self._argument, self._key, self._make = *names, read
        self.values = None if given is None else self._read(f"`{self._argument}`", given)
        self._given = given is not None

    def public(self) -> NDArray[np.float64] | None:
        """A copy, (arms,) or (rows, arms); None while it is unknown."""
        return None if self.values is None else self._arms.public(self.values)

    def act(self, info: dict[str, Any]) -> Any:
        """An arm, or one for each row, (rows,).

        Raises:
            ValueError: while the distribution is unknown and the info does not tell.
        """
        if self.values is None:
            if self._key not in info:
                raise ValueError(
                    f"`{self._argument}` must be given where `info` lacks {self._key!r}; "
                    f"this one has {sorted(info)}"
                )
            self.values = self._read(f'`info["{self._key}"]`', info[self._key])
        return self._arms.action(choice.draw(self.values, self._rng))

    def check(self, action: Any, reward: Any) -> None:
        """Refuse what no environment gives.

        Raises:
            ValueError: for an action that is no arm, or a reward that is not finite.
        """
        self._arms.chosen(action)
        self._arms.rewards(reward)

    def state_dict(self) -> dict[str, Any]:
        """A copy of the distribution, and the generator's state."""
        known = None if self.values is None else self.values.copy()
        return {"distribution": known, "rng": self._rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned.

        Raises:
            ValueError: for a distribution of other arms, or another one than was given, or a state
                that is not whole.
        """
        restoring.check_keys(state, self.state_dict(), "Distribution")
        known = state["distribution"]
        other = self._given and not np.array_equal(known, self.values)
        if other or (known is not None and known.shape != self._arms.shape):
            own = self.values if self._given else f"one of shape {self._arms.shape}"
            raise ValueError(f"`state` is of the distribution {known}, not {own}")
        self.values = None if known is None else known.copy()
        self._rng.bit_generator.state = state["rng"]

    def _read(self, name: str, value: Any) -> NDArray[np.float64]:
        rows, count = self._arms.rows, self._arms.count
        numbers = np.asarray(value)
        if numbers.dtype.kind not in "iuf" or numbers.shape not in ((count,), (rows, count)):
            raise ValueError(f"{name} must be {count} numbers, one for each arm, not {value!r}")
        made = self._make(name, numbers.astype(np.float64))
        return np.broadcast_to(made, self._arms.shape).copy()


def in_proportion(name: str, sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distributions in proportion to positive sizes; (..., arms) both.

    Raises:
        ValueError: names what the sizes are and their value.
    """
    if not np.all(np.isfinite(sizes) & (sizes > 0)):
        raise ValueError(f"{name} must be positive finite numbers, not {sizes.tolist()}")
    shares = sizes / sizes.max(axis=-1, keepdims=True)  # their sum cannot overflow
    return shares / shares.sum(axis=-1, keepdims=True)


def as_they_are(name: str, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distributions that sum to 1 up to rounding, and then more exactly; (..., arms) both.

    Raises:
        ValueError: names what they are and their value.
    """
    sums = probabilities.sum(axis=-1, keepdims=True)
    if not (np.all(probabilities >= 0) and np.all(np.abs(sums - 1) < 1e-6)):
        raise ValueError(
            f"{name} must be probabilities that sum to 1, not {probabilities.tolist()}"
        )
    return probabilities / sums
