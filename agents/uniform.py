"""Decisions drawn uniformly: the baseline that every agent has to beat."""

from typing import Any

import numpy as np
from gymnasium import spaces

from mtlgym.agents import actions
from mtlgym.agents.streams import generator


class UniformRandom:
    """Draw each decision uniformly from all there are, whatever is observed.

    Tasks are equally likely; task weights are uniform on the simplex of non-negative weights that
    sum to n, n Dirichlet(1, ..., 1); logits are uniform in the box [-1, 1]^n.

    Attributes:
        probabilities: of the tasks, (tasks,); None where a decision is not a task.
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        seed: int | None = None,
    ) -> None:
        """Make the agent for these spaces.

        Args:
            observation_space: any; not looked at.
            action_space: of weights, logits or tasks.
            seed: start of its generator; None takes fresh entropy.

        Raises:
            ValueError: for another kind of action space.
        """
        self._kind = actions.kind(action_space, "UniformRandom", ("weights", "logits", "tasks"))
        self._tasks = actions.tasks(action_space)
        self._rng = generator(seed)
        choice = self._kind == "tasks"
        self.probabilities = np.full(self._tasks, 1 / self._tasks) if choice else None

    def act(self, observation: np.ndarray, info: dict[str, Any]) -> np.ndarray | int:
        """A task as an int, or float32 weights or logits, (tasks,)."""
        if self._kind == "tasks":
            return int(self._rng.integers(self._tasks))
        if self._kind == "weights":
            weights = self._tasks * self._rng.dirichlet(np.ones(self._tasks))
            return weights.astype(np.float32)
        return self._rng.uniform(-1, 1, self._tasks).astype(np.float32)

    def learn(
        self,
        observation: np.ndarray,
        action: np.ndarray | int,
        reward: float,
        next_observation: np.ndarray,
        terminated: bool,
        truncated: bool,
        info: dict[str, Any],
    ) -> None:
        """Learn nothing."""

    def state_dict(self) -> dict[str, Any]:
        """The generator's state, in plain Python values."""
        return {"rng": self._rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self._rng.bit_generator.state = state["rng"]
