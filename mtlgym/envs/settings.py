"""The options of a training environment, checked before anything is built."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mtlgym import checks
from mtlgym.balancing.objective import TRANSFORMS
from mtlgym.envs.observations import FEATURES
from mtlgym.envs.rewards import NEEDS_BASE_LOSSES, NEEDS_SAME_BATCH, REWARDS, Reward
from mtlgym.lookup import lookup
from mtlgym.record import Record

INTERFACES = ("weights", "tasks")
ACTIONS = ("logits", "weights")


@dataclass(frozen=True)
class Settings:
    """What an agent sees of a training and what it decides.

    Attributes:
        interface: `weights`, the agent weighs the tasks of every batch, or `tasks`, it picks the
            task that the next batch is of.
        actions: form of weight actions: `logits` or `weights`.
        scale: of logits; the weights are n softmax(scale a).
        transform: what weights multiply: `log` losses or, with `none`, the losses. The default is
            `log` for weights and `none` for tasks.
        reward: a key of `REWARDS`, or a function `(before, after) -> float` of two records, with
            the attribute `needs_base_losses` or `needs_same_batch` if it reads these. The default
            is `min_loss_decline` for weights and `prediction_gain` for tasks.
        observation: keys of `FEATURES`.
        base_epoch: the epoch, counted from 1, whose mean losses are L_base; in a training that
            ends before, rewards that are in units of L_base are 0 throughout.
        same_batch: whether the batch just trained on is computed once more after the update; `info`
            then has `trained_losses` and `retrained_losses`. Costs one forward pass.
        failure_reward: the reward of a step after which the training is broken.
    """

    interface: str = "weights"
    actions: str = "logits"
    scale: float = 2.0
    transform: str | None = None
    reward: str | Reward | None = None
    observation: Sequence[str] = ("losses",)
    base_epoch: int = 2
    same_batch: bool = False
    failure_reward: float = -1.0

    def __post_init__(self) -> None:
        """Refuse what makes no environment, and fill in the interface's defaults."""
        for name, known in (("interface", INTERFACES), ("actions", ACTIONS)):
            lookup(dict.fromkeys(known), getattr(self, name), name)
        tasks = self.interface == "tasks"
        if self.transform is None:
            object.__setattr__(self, "transform", "none" if tasks else "log")
        if self.reward is None:
            object.__setattr__(self, "reward", "prediction_gain" if tasks else "min_loss_decline")
        assert self.transform is not None
        lookup(dict.fromkeys(TRANSFORMS), self.transform, "transform")
        if isinstance(self.reward, str):
            lookup(REWARDS, self.reward, "reward")
        elif not callable(self.reward):
            raise ValueError(f"`reward` must be a name or a function, not {self.reward!r}")
        names = self.observation
        if isinstance(names, str) or not isinstance(names, Sequence) or not names:
            raise ValueError(f"`observation` must be a sequence of feature names, not {names!r}")
        for name in names:
            lookup(FEATURES, name, "feature")
        checks.integer("base_epoch", self.base_epoch, least=1, most=checks.WHOLE - 1)
        checks.real("scale", self.scale, 0.0, open_end=True, most=checks.MOST)
        checks.flag("same_batch", self.same_batch)
        checks.real("failure_reward", self.failure_reward, -checks.MOST, most=checks.MOST)

    @property
    def reward_function(self) -> Reward:
        """The reward itself."""
        assert self.reward is not None
        return REWARDS[self.reward] if isinstance(self.reward, str) else self.reward

    def pay(self, before: Record, after: Record) -> float:
        """The reward of the step between the two records.

        Raises:
            ValueError: if the function gave none that is finite; names it.
        """
        if after.failed:
            return float(self.failure_reward)
        reward = float(self.reward_function(before, after))
        if not math.isfinite(reward):
            raise ValueError(f"`reward` {self.reward!r} gave {reward}; it must be finite")
        return reward

    @property
    def retraces(self) -> bool:
        """Whether each step computes the trained batch once more."""
        reward = self.reward_function
        needed = reward in NEEDS_SAME_BATCH or getattr(reward, "needs_same_batch", False)
        return self.same_batch or needed

    @property
    def awaits_base_losses(self) -> bool:
        """Whether the reward is 0 until L_base is known."""
        reward = self.reward_function
        return reward in NEEDS_BASE_LOSSES or getattr(reward, "needs_base_losses", False)
