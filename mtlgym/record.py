"""The record of a training after a step: the input of rewards, features and loss methods."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Record:
    """The losses, on the CPU and without a graph, and the progress of a training after a step.

    Attributes:
        losses: with `interface="weights"` the losses of the pending batch, which the next decision
            trains on; with `interface="tasks"` each task's latest loss.
        step: optimizer steps made so far.
        epoch: the epoch, counted from 1, that the pending batch belongs to.
        progress: share of the budget that is used, in [0, 1].
        lr: learning rate of the next optimizer step.
        first_lr: the learning rate that the scheduler's factors multiply.
        base_losses: mean losses over every batch of the base epoch (the paper's L_base), from that
            epoch's last batch on; None before it.
        weights: the task weights of the decision that led here, None at the start.
        task: the task of the decision that led here, None at the start and for weight decisions.
        since_chosen: steps since each task was last trained on.
        trained: the losses of the batch that the decision trained on, before the update (for
            `interface="tasks"` the chosen task's only); None at the start.
        retrained: the losses of the same batch after the update; None unless `same_batch` is set or
            the reward needs it.
        previous: the chosen task's loss when it was chosen before; None if it never was.
        failure: why the training failed, empty if it did not.
    """

    losses: Float[Tensor, " tasks"]
    step: int = 0
    epoch: int = 1
    progress: float = 0.0
    lr: float = 1.0
    first_lr: float = 1.0
    base_losses: Float[Tensor, " tasks"] | None = None
    weights: Float[Tensor, " tasks"] | None = None
    task: int | None = None
    since_chosen: Int[Tensor, " tasks"] | None = None
    trained: Float[Tensor, " trained"] | None = None
    retrained: Float[Tensor, " trained"] | None = None
    previous: float | None = None
    failure: str = ""

    @property
    def failed(self) -> bool:
        """Whether the training has failed."""
        return bool(self.failure)

    def to_info(self) -> dict[str, Any]:
        """The record as Python numbers, strings and fresh arrays."""
        weights = torch.zeros_like(self.losses) if self.weights is None else self.weights
        info: dict[str, Any] = {
            "losses": self.losses.double().numpy().copy(),
            "weights": weights.double().numpy().copy(),
            "step": self.step,
            "epoch": self.epoch,
            "lr": self.lr,
            "failure": self.failure,
        }
        if self.task is not None:
            info["task"] = self.task
        if self.trained is not None and self.retrained is not None:
            info["trained_losses"] = self.trained.double().numpy().copy()
            info["retrained_losses"] = self.retrained.double().numpy().copy()
        return info
