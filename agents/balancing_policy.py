"""A loss-balancing method as a policy: the baseline that learning agents are compared with."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from mtlgym.agents import actions
from mtlgym.balancing.method import load_state_dict, parse, state_dict
from mtlgym.record import Record


class BalancingPolicy:
    """Weigh the tasks as a loss-balancing method does.

    The method sees the losses of the pending batch, the step and the epoch; each episode starts
    with a fresh one. Its weights are meant for its own objective: make the environment with
    `transform=policy.method.transform`.

    Attributes:
        method: the loss-balancing method.
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        method: str = "igbv1",
        seed: int | None = None,
    ) -> None:
        """Make the policy for these spaces.

        Args:
            observation_space: of float32 vectors that begin with the tasks' losses.
            action_space: `Box(0, inf, (tasks,))`.
            method: a loss method and its settings, such as "igbv1" or "dwa:temperature=1.5".
            seed: of a method that draws; None keeps the method's own.

        Raises:
            ValueError: for spaces that do not fit, or a method that is unknown, or not of losses.
        """
        actions.kind(action_space, "BalancingPolicy", ("weights",))
        self._tasks = actions.tasks(action_space)
        size = actions.vector_size(observation_space, "BalancingPolicy")
        if size < self._tasks:
            raise ValueError(
                f"`observation_space` must begin with {self._tasks} losses; it has {size} entries"
            )
        self.method = _seeded(_loss_method(method), seed)

    def act(self, observation: np.ndarray, info: dict[str, Any]) -> np.ndarray:
        """The method's weights for the pending batch; (tasks,), float32."""
        losses = torch.as_tensor(observation[: self._tasks])
        record = Record(losses=losses, step=info["step"], epoch=info["epoch"])
        return self.method(record).numpy().astype(np.float32)

    def learn(
        self,
        observation: np.ndarray,
        action: np.ndarray,
        reward: float,
        next_observation: np.ndarray,
        terminated: bool,
        truncated: bool,
        info: dict[str, Any],
    ) -> None:
        """Tell the method what its weights did to their batch, if it asks for that.

        Raises:
            ValueError: if it asks and the environment does not say.
        """
        if terminated or truncated:
            self.method = replace(self.method)
        elif self.method.needs_same_batch:
            self._update(info)

    def state_dict(self) -> dict[str, Any]:
        """The method's settings, as text, and its state."""
        return {"method": repr(self.method), "state": state_dict(self.method)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned.

        Raises:
            ValueError: for the state of another method, or of one with other settings.
        """
        if state["method"] != repr(self.method):
            raise ValueError(f"`state` is of {state['method']}, not {self.method!r}")
        load_state_dict(self.method, state["state"])

    def _update(self, info: dict[str, Any]) -> None:
        if "retrained_losses" not in info or "trained_losses" not in info:
            raise ValueError(
                f"`info` lacks the losses of the batch after its update, which "
                f"{type(self.method).__name__} learns from: make the environment with "
                "`same_batch=True`"
            )
        before, after = info["trained_losses"], info["retrained_losses"]
        self.method.update(torch.as_tensor(before), torch.as_tensor(after))


def _loss_method(spec: str) -> Any:
    method, gradient = parse(spec)
    if method is None or gradient is not None:
        raise ValueError(
            f"`method` must name a loss method alone, not {spec!r}; a gradient method belongs into "
            "the environment, as `aggregator`"
        )
    return method


def _seeded(method: Any, seed: int | None) -> Any:
    """The method with that seed, where it draws at all."""
    if seed is None or "seed" not in {f.name for f in fields(method)}:
        return method
    return replace(method, seed=seed)
