"""Decisions drawn uniformly: the baseline of every agent."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym.agents.bandits.arms import Arms, read_arms
from mtlgym.agents.saving import state_checks
from mtlgym.agents.streams import generator
from mtlgym.agents.weights import actions


class UniformRandom:
    """Draw each decision uniformly, whatever is observed.

    Tasks are equally likely; task weights are uniform on the simplex of non-negative weights that
    sum to n, n Dirichlet(1, ..., 1); logits are uniform in the box [-1, 1]^n.
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        seed: int | None = None,
    ) -> None:
        """Create the agent for these spaces.

        Args:
            observation_space: any; observations are not used.
            action_space: of weights, logits or tasks; or `MultiDiscrete([tasks] * rows)`, of a
                vector of environments.
            seed: seed of its generator; None takes fresh entropy.

        Raises:
            ValueError: for another kind of action space.
        """
        if isinstance(action_space, spaces.Discrete | spaces.MultiDiscrete):
            self._kind, self._arms = "tasks", read_arms(action_space, "UniformRandom")
        else:
            self._kind = actions.kind(action_space, "UniformRandom", ("weights", "logits", "tasks"))
            self._arms = Arms(actions.tasks(action_space), None)
        self._rng = generator(seed)
        self.observation_space, self.action_space = observation_space, action_space

    @property
    def probabilities(self) -> NDArray[np.float64] | None:
        """Of the tasks, (tasks,) or (rows, tasks); None where a decision is not a task."""
        if self._kind != "tasks":
            return None
        return self._arms.public(np.full(self._arms.shape, 1 / self._arms.count))

    def act(self, observation: Any, info: dict[str, Any]) -> Any:
        """A task, an int, or one for each row, (rows,); or float32 weights or logits, (tasks,)."""
        rows, tasks = self._arms.shape
        if self._kind == "tasks":
            return self._arms.action(self._rng.integers(tasks, size=rows))
        if self._kind == "weights":
            return (tasks * self._rng.dirichlet(np.ones(tasks))).astype(np.float32)
        return self._rng.uniform(-1, 1, tasks).astype(np.float32)

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
            ValueError: for a reward that is not finite, or an action that is no task.
        """
        self._arms.rewards(reward)
        if self._kind == "tasks":
            self._arms.chosen(action)

    def state_dict(self) -> dict[str, Any]:
        """The generator's state, in plain Python values."""
        return {"rng": self._rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`.

        Raises:
            ValueError: for an incomplete state.
        """
        state_checks.check_keys(state, self.state_dict(), "UniformRandom")
        self._rng.bit_generator.state = state["rng"]
