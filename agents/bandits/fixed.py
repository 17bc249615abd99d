"""Fixed policies: in proportion to the tasks' sizes, and the oracle's."""

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym.agents.bandits.arms import Arms, draw_arms, read_arms
from mtlgym.agents.saving import state_checks
from mtlgym.agents.streams import generator


class Distribution:
    """Draws arms from a fixed distribution, given as an argument or taken from the first info.

    Attributes:
        values: the distribution of each row, (rows, arms); None until it is known.
    """

    def __init__(
        self,
        arms: Arms,
        seed: int | None,
        given: Any,
        names: tuple[str, str],
        read: Callable[[str, NDArray[np.float64]], NDArray[np.float64]],
    ) -> None:
        """Compute the distribution from the argument, if it is not None.

        Args:
            arms: to draw from.
            seed: seed of the generator; None takes fresh entropy.
            given: numbers, (arms,) or (rows, arms), or None.
            names: of the argument, and of the info's entry that is used instead.
            read: converts numbers, (..., arms), to distributions, or refuses them by name.

        Raises:
            ValueError: for another shape, or numbers that give no distribution.
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
            ValueError: while the distribution is unknown and not in the info.
        """
        if self.values is None:
            if self._key not in info:
                raise ValueError(
                    f"`{self._argument}` must be given where `info` lacks {self._key!r}; "
                    f"this one has {sorted(info)}"
                )
            self.values = self._read(f'`info["{self._key}"]`', info[self._key])
        return self._arms.action(draw_arms(self.values, self._rng))

    def check(self, action: Any, reward: Any) -> None:
        """Check the arguments of `learn`.

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
        """Load a state returned by `state_dict`.

        Raises:
            ValueError: for a distribution of other arms, or another one than was given, or an
                incomplete state.
        """
        state_checks.check_keys(state, self.state_dict(), "Distribution")
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
        ValueError: names the argument and the value.
    """
    if not np.all(np.isfinite(sizes) & (sizes > 0)):
        raise ValueError(f"{name} must be positive finite numbers, not {sizes.tolist()}")
    shares = sizes / sizes.max(axis=-1, keepdims=True)  # their sum cannot overflow
    return shares / shares.sum(axis=-1, keepdims=True)


def normalised(name: str, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Check that the probabilities sum to 1, and normalise them; (..., arms) both.

    Raises:
        ValueError: names the argument and the value.
    """
    sums = probabilities.sum(axis=-1, keepdims=True)
    if not (np.all(probabilities >= 0) and np.all(np.abs(sums - 1) < 1e-6)):
        raise ValueError(
            f"{name} must be probabilities that sum to 1, not {probabilities.tolist()}"
        )
    return probabilities / sums


class TaskSize:
    """Choose each task in proportion to the number of its training examples.

    pi_k = |D_k| / sum_j |D_j|.

    Source: Glover, Hokamp (2019), https://arxiv.org/abs/1907.06214, equation 4.
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        seed: int | None = None,
        sizes: Any = None,
    ) -> None:
        """Create the policy for these spaces.

        Args:
            observation_space: any; observations are not used.
            action_space: `Discrete(tasks)`, or `MultiDiscrete([tasks] * rows)` for several
                trainings at once.
            seed: seed of its generator; None takes fresh entropy.
            sizes: positive, (tasks,) or (rows, tasks); None takes `info["task_sizes"]` of the
                first decision.

        Raises:
            ValueError: for another action space, or sizes that are not positive or not one a task.
        """
        arms, names = read_arms(action_space, "TaskSize"), ("sizes", "task_sizes")
        self._distribution = Distribution(arms, seed, sizes, names, in_proportion)
        self.observation_space, self.action_space = observation_space, action_space

    @property
    def probabilities(self) -> NDArray[np.float64] | None:
        """The distribution, (tasks,) or (rows, tasks); None while the sizes are unknown."""
        return self._distribution.public()

    def act(self, observation: Any, info: dict[str, Any]) -> Any:
        """The task to train on, an int, or one for each row, (rows,).

        Raises:
            ValueError: if neither the argument nor the info has the sizes.
        """
        return self._distribution.act(info)

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
        """Learn nothing.

        Raises:
            ValueError: for an action that is no task, or a reward that is not finite.
        """
        self._distribution.check(action, reward)

    def state_dict(self) -> dict[str, Any]:
        """A copy of the distribution, None while it is unknown, and the generator's state."""
        return self._distribution.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`; the run then continues bit-identically.

        Raises:
            ValueError: for the state of a policy of other tasks, or of other sizes than given.
        """
        self._distribution.load_state_dict(state)


class Oracle:
    """Choose each arm with its true probability of the environment.

    Source: Glover, Hokamp (2019), https://arxiv.org/abs/1907.06214, section 4.1: the distribution
    that the increments of the bandit's arms follow.
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        seed: int | None = None,
        probabilities: Any = None,
    ) -> None:
        """Create the policy for these spaces.

        Args:
            observation_space: any; observations are not used.
            action_space: `Discrete(arms)`, or `MultiDiscrete([arms] * rows)` for several bandits.
            seed: seed of its generator; None takes fresh entropy.
            probabilities: (arms,) or (rows, arms), each row of the sum 1; None takes
                `info["oracle"]` of the first decision.

        Raises:
            ValueError: for another action space, or invalid probabilities, or not one an arm.
        """
        arms, names = read_arms(action_space, "Oracle"), ("probabilities", "oracle")
        self._distribution = Distribution(arms, seed, probabilities, names, normalised)
        self.observation_space, self.action_space = observation_space, action_space

    @property
    def probabilities(self) -> NDArray[np.float64] | None:
        """The distribution, (arms,) or (rows, arms); None while it is unknown."""
        return self._distribution.public()

    def act(self, observation: Any, info: dict[str, Any]) -> Any:
        """The arm to pull, an int, or one for each row, (rows,).

        Raises:
            ValueError: if neither the argument nor the info has the probabilities.
        """
        return self._distribution.act(info)

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
        """Learn nothing.

        Raises:
            ValueError: for an action that is no arm, or a reward that is not finite.
        """
        self._distribution.check(action, reward)

    def state_dict(self) -> dict[str, Any]:
        """A copy of the distribution, None while it is unknown, and the generator's state."""
        return self._distribution.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`; the run then continues bit-identically.

        Raises:
            ValueError: for the state of a policy of other arms, or other probabilities than given.
        """
        self._distribution.load_state_dict(state)
