"""A loss-balancing method as a policy: the baseline of learning agents."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from mtlgym.agents.weights import actions
from mtlgym.balancing.method import load_state_dict, parse, state_dict
from mtlgym.balancing.state import check_keys
from mtlgym.record import Record


class BalancingPolicy:
    """Weigh the tasks as a loss-balancing method does.

    The method is called with the losses of the pending batch, the step and the epoch, all from
    `info`. Each episode starts with a fresh method, with another seed if it draws. The weights
    are for the method's own objective: make the environment with
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
        """Create the policy for these spaces.

        Args:
            observation_space: any; observations are not used.
            action_space: `Box(0, inf, (tasks,))`.
            method: a loss method and its settings, such as "igbv1" or "dwa:temperature=1.5".
            seed: of a method that draws, where `method` does not set it; None keeps its own.

        Raises:
            ValueError: for an action space that does not fit, or a method that is unknown, or not
                of losses.
        """
        actions.kind(action_space, "BalancingPolicy", ("weights",))
        self.observation_space, self.action_space = observation_space, action_space
        self._first = _loss_method(method)
        drawing = hasattr(self._first, "seed")
        if drawing and seed is not None and not re.search(r"[:,]\s*seed\s*=", method):
            self._first = replace(self._first, seed=seed)
        self._episode, self._acted = 0, False
        tasks = actions.tasks(action_space)
        self._fresh(0)(Record(losses=torch.ones(tasks)))  # refuses settings for other tasks
        self.method = self._fresh(0)

    def act(self, observation: np.ndarray, info: dict[str, Any]) -> np.ndarray:
        """The method's weights for the pending batch; (tasks,), float32."""
        if info["step"] == 0 and self._acted:
            self._episode += 1
            self.method = self._fresh(self._episode)
        self._acted = True
        losses = torch.as_tensor(info["losses"])
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
        """Pass the losses of the batch before and after the update to a method that needs them.

        Raises:
            ValueError: if it needs them and the info lacks them.
        """
        if self.method.needs_same_batch and not (terminated or truncated):
            self._update(info)

    def state_dict(self) -> dict[str, Any]:
        """The method's settings, as text, its state, and the count of episodes."""
        return {
            "method": repr(self.method),
            "state": state_dict(self.method),
            "episode": self._episode,
            "acted": self._acted,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`.

        Raises:
            ValueError: for the state of another method, or of one with other settings, or an
                incomplete one.
        """
        check_keys(state, self.state_dict(), "BalancingPolicy")
        method = self._fresh(state["episode"])
        if state["method"] != repr(method):
            raise ValueError(f"`state` is of {state['method']}, not {method!r}")
        load_state_dict(method, state["state"])
        self.method, self._episode, self._acted = method, state["episode"], state["acted"]

    def _fresh(self, episode: int) -> Any:
        """A method without state; one that draws has another seed in each episode."""
        if not (episode and hasattr(self._first, "seed")):
            return replace(self._first)
        drawn = np.random.SeedSequence([self._first.seed, episode]).generate_state(1)
        return replace(self._first, seed=int(drawn[0]))

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
