"""The options of a training environment, checked before anything is built."""

from collections.abc import Sequence
from dataclasses import dataclass

from mtlgym.balancing.objective import TRANSFORMS
from mtlgym.envs.rewards import NEEDS_BASE_LOSSES, NEEDS_SAME_BATCH, REWARDS, Reward
from mtlgym.lookup import lookup, unknown

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
        reward: a key of `REWARDS`, or a function `(before, after) -> float` of two records. The
            default is `min_loss_decline` for weights and `prediction_gain` for tasks.
        observation: keys of `FEATURES`.
        base_epoch: the epoch, counted from 1, whose mean losses are L_base.
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
            if getattr(self, name) not in known:
                raise ValueError(unknown(getattr(self, name), known, name))
        tasks = self.interface == "tasks"
        if self.transform is None:
            object.__setattr__(self, "transform", "none" if tasks else "log")
        if self.reward is None:
            object.__setattr__(self, "reward", "prediction_gain" if tasks else "min_loss_decline")
        if self.transform not in TRANSFORMS:
            raise ValueError(unknown(self.transform, TRANSFORMS, "transform"))
        if isinstance(self.reward, str):
            lookup(REWARDS, self.reward, "reward")
        elif not callable(self.reward):
            raise ValueError(f"`reward` must be a name or a function, not {self.reward!r}")
        if not (isinstance(self.base_epoch, int) and self.base_epoch > 0):
            raise ValueError(f"`base_epoch` must be a positive integer, not {self.base_epoch!r}")
        if not 0 < self.scale < float("inf"):
            raise ValueError(f"`scale` must be positive and finite, not {self.scale!r}")
        if not abs(self.failure_reward) < float("inf"):
            raise ValueError(f"`failure_reward` must be finite, not {self.failure_reward!r}")

    @property
    def reward_function(self) -> Reward:
        """The reward itself."""
        assert self.reward is not None
        return REWARDS[self.reward] if isinstance(self.reward, str) else self.reward

    @property
    def retraces(self) -> bool:
        """Whether each step computes the trained batch once more."""
        return self.same_batch or self.reward_function in NEEDS_SAME_BATCH

    @property
    def awaits_base_losses(self) -> bool:
        """Whether the reward is 0 until L_base is known."""
        return self.reward_function in NEEDS_BASE_LOSSES
