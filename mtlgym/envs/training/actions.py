"""Action interfaces: the conversion of actions to decisions and back."""

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mtlgym.checks import as_array
from mtlgym.envs.training.options import TrainingOptions


@dataclass(frozen=True, eq=False)
class Decision:
    """The decision about the next optimizer step.

    Attributes:
        weights: factor of each task's loss, (tasks,), >= 0.
        task: the one task that is trained on; None if the weights apply to a joint batch.
    """

    weights: Float[Tensor, " tasks"]
    task: int | None = None


class Logits:
    """Task weights n softmax(scale a) from an action a in [-1, 1]^n; they sum to n.

    Two weights differ at most by the factor e^(2 scale).
    """

    def __init__(self, tasks: int, scale: float) -> None:
        """Actions for that many tasks; `scale` > 0."""
        self._tasks = tasks
        self._scale = scale
        self.space = gym.spaces.Box(-1.0, 1.0, (tasks,), np.float32)

    def decode(self, action: Any) -> Decision:
        """The weights of this action.

        Raises:
            ValueError: if it is not a vector of n finite numbers in [-1, 1].
        """
        values = _vector(action, self._tasks)
        if np.abs(values).max() > 1 + 1e-6:  # a float32 policy may round past the bound
            raise ValueError(f"`action` must lie in [-1, 1], not {action!r}")
        return Decision(self._tasks * torch.softmax(self._scale * torch.from_numpy(values), dim=0))

    def encode(self, weights: NDArray[Any]) -> NDArray[np.float32]:
        """The action that gives these positive weights, up to a common factor.

        Raises:
            ValueError: if the weights are not positive, or too far apart for the scale.
        """
        values = _vector(weights, self._tasks)
        if values.min() <= 0:
            raise ValueError(f"`weights` must be positive, not {weights!r}")
        action = np.log(values) / self._scale
        action -= (action.max() + action.min()) / 2
        if action.max() > 1 + 1e-6:
            raise ValueError(f"weights {weights!r} differ by more than e^(2 scale)")
        return np.clip(action, -1.0, 1.0).astype(np.float32)


class Weights:
    """The task weights themselves: any non-negative numbers."""

    def __init__(self, tasks: int) -> None:
        """Actions for that many tasks."""
        self._tasks = tasks
        self.space = gym.spaces.Box(0.0, np.inf, (tasks,), np.float32)

    def decode(self, action: Any) -> Decision:
        """The weights of this action.

        Raises:
            ValueError: if it is not a vector of n finite numbers >= 0.
        """
        values = _vector(action, self._tasks)
        if values.min() < 0:
            raise ValueError(f"`action` holds task weights, which must be >= 0, not {action!r}")
        return Decision(torch.from_numpy(values))

    def encode(self, weights: NDArray[Any]) -> NDArray[np.float32]:
        """The action that gives these weights."""
        return np.asarray(weights, np.float32)


class Tasks:
    """The index of the task to train on next."""

    def __init__(self, tasks: int) -> None:
        """Actions for that many tasks."""
        self._tasks = tasks
        self.space = gym.spaces.Discrete(tasks)

    def decode(self, action: Any) -> Decision:
        """The task of this action; its weight is 1 and the others' 0.

        Raises:
            ValueError: if it is not an integer in [0, n).
        """
        value = as_array(action)
        if value.shape != () or value.dtype.kind not in "iu" or not 0 <= value < self._tasks:
            raise ValueError(f"`action` must be an integer in [0, {self._tasks}), not {action!r}")
        weights = torch.zeros(self._tasks, dtype=torch.float64)
        weights[int(value)] = 1.0
        return Decision(weights, int(value))

    def encode(self, weights: NDArray[Any]) -> np.int64:
        """The task of these one-hot weights."""
        return np.int64(np.argmax(weights))


Interface = Logits | Weights | Tasks


def make_interface(options: TrainingOptions, tasks: int) -> Interface:
    """Build the interface that the options name, for that many tasks."""
    if options.interface == "tasks":
        return Tasks(tasks)
    return Logits(tasks, options.scale) if options.actions == "logits" else Weights(tasks)


def _vector(action: Any, tasks: int) -> NDArray[np.float64]:
    value = as_array(action)
    if value.shape != (tasks,) or value.dtype.kind not in "fiu":
        raise ValueError(
            f"`action` must be {tasks} real numbers, not {action!r} "
            f"of shape {value.shape} and type {value.dtype}"
        )
    if not np.isfinite(value).all():
        raise ValueError(f"`action` must be finite, not {action!r}")
    return value.astype(np.float64)
