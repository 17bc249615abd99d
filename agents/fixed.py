"""Policies that stay as they are: in proportion to the tasks' sizes, and the oracle's."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym.agents import choice
from mtlgym.agents.distribution import Distribution, as_they_are, in_proportion


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
        """Make the policy for these spaces.

        Args:
            observation_space: any; what is observed is not used.
            action_space: `Discrete(tasks)`, or `MultiDiscrete([tasks] * rows)` for several
                trainings at once.
            seed: start of its generator; None takes fresh entropy.
            sizes: positive, (tasks,) or (rows, tasks); None takes `info["task_sizes"]` of the
                first decision.

        Raises:
            ValueError: for another action space, or sizes that are not positive or not one a task.
        """
        arms, names = choice.read(action_space, "TaskSize"), ("sizes", "task_sizes")
        self._distribution = Distribution(arms, seed, sizes, names, in_proportion)
        self.observation_space, self.action_space = observation_space, action_space

    @property
    def probabilities(self) -> NDArray[np.float64] | None:
        """The distribution, (tasks,) or (rows, tasks); None while the sizes are unknown."""
        return self._distribution.public()

    def act(self, observation: Any, info: dict[str, Any]) -> Any:
        """The task to train on, an int, or one for each row, (rows,).

        Raises:
            ValueError: if neither the argument nor the info tells the sizes.
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
        """Continue, bit for bit, from what `state_dict` returned.

        Raises:
            ValueError: for the state of a policy of other tasks, or of other sizes than given.
        """
        self._distribution.load_state_dict(state)


class Oracle:
    """Choose each task with the probability that is known to be right.

    Source: Glover, Hokamp (2019), https://arxiv.org/abs/1907.06214, section 4.1: the distribution
    by which the increments of the bandit's arms are made.
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        seed: int | None = None,
        probabilities: Any = None,
    ) -> None:
        """Make the policy for these spaces.

        Args:
            observation_space: any; what is observed is not used.
            action_space: `Discrete(arms)`, or `MultiDiscrete([arms] * rows)` for several bandits.
            seed: start of its generator; None takes fresh entropy.
            probabilities: (arms,) or (rows, arms), each row of the sum 1; None takes
                `info["oracle"]` of the first decision.

        Raises:
            ValueError: for another action space, or what are no probabilities or not one an arm.
        """
        arms, names = choice.read(action_space, "Oracle"), ("probabilities", "oracle")
        self._distribution = Distribution(arms, seed, probabilities, names, as_they_are)
        self.observation_space, self.action_space = observation_space, action_space

    @property
    def probabilities(self) -> NDArray[np.float64] | None:
        """The distribution, (arms,) or (rows, arms); None while it is unknown."""
        return self._distribution.public()

    def act(self, observation: Any, info: dict[str, Any]) -> Any:
        """The arm to pull, an int, or one for each row, (rows,).

        Raises:
            ValueError: if neither the argument nor the info tells the probabilities.
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
        """Continue, bit for bit, from what `state_dict` returned.

        Raises:
            ValueError: for the state of a policy of other arms, or other probabilities than given.
        """
        self._distribution.load_state_dict(state)
