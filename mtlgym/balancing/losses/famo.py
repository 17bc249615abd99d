"""Fast adaptive multitask optimization."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym import checks
from mtlgym.balancing.adam import adam_step
from mtlgym.balancing.limits import TINY, bounded, check_positive
from mtlgym.balancing.state import zero
from mtlgym.record import Record


@dataclass
class FAMO:
    """Lower every task's loss at the same relative rate, in constant memory and time.

    Objective: sum z_t log(L_t - L_min,t) / sum(z_t / (L_t - L_min,t)), z = softmax(logits), with
    the denominator held constant, so w_t = c z_t / (L_t - L_min,t) with c such that sum w = 1.
    After the optimizer's step, one Adam step on the logits, whose gradient is
    z * (d - z.d), d_t = log(L_t - L_min,t) before - after, plus `gamma` times the logits.

    Source: Liu, Feng, Stone, Liu (NeurIPS 2023), https://arxiv.org/abs/2306.03792, Algorithm 1.
    Differs from it in that L - L_min is floored at 2**-126 instead of being raised by 1e-8, so
    that the weights do not depend on the losses' units, and that it leaves the clipping of the
    gradient's norm, to 1 in the authors' code, to the training loop.

    Attributes:
        lr: of Adam on the logits, in nats a step.
        gamma: weight decay of the logits.
        min_losses: L_min, one for each task in the task's unit; empty means zeros.

    Raises:
        ValueError: if `lr` is not positive or `gamma` is negative; in the calls, if a loss is
            negative or not finite, or `min_losses` is not one for each task.
    """

    lr: float = 0.025
    gamma: float = 1e-3
    min_losses: Sequence[float | int] = ()
    transform: ClassVar[str] = "none"
    needs_same_batch: ClassVar[bool] = True
    needs_epochs: ClassVar[bool] = False
    _logits: Tensor = field(default_factory=zero, init=False, repr=False, compare=False)
    _moments: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        check_positive("lr", self.lr)
        checks.real("gamma", self.gamma, 0.0)
        for task, least in enumerate(self.min_losses):
            checks.real(f"min_losses[{task}]", least)

    def __call__(self, record: Record) -> Float[Tensor, " tasks"]:
        """Return weights that sum to 1."""
        logs = self._log_gaps(record.losses)
        return torch.softmax(torch.log_softmax(self._logits.expand_as(logs), dim=0) - logs, dim=0)

    def update(self, before: Float[Tensor, " tasks"], after: Float[Tensor, " tasks"]) -> None:
        """Update the logits from one batch's losses before and after the optimizer step on it.

        Args:
            before: the losses that the last weights were computed from, in the tasks' units.
            after: the same batch's losses with the new parameters.
        """
        decline = self._log_gaps(before) - self._log_gaps(after)
        logits = self._logits.expand_as(decline)
        shares = torch.softmax(logits, dim=0)
        gradient = shares * (decline - shares @ decline)
        self._logits, self._moments = adam_step(
            logits, gradient, self._moments, self.lr, self.gamma
        )

    def _log_gaps(self, losses: Tensor) -> Tensor:
        losses = bounded(losses)
        if not len(self.min_losses):
            return losses.log()
        if len(self.min_losses) != len(losses):
            raise ValueError(
                f"`min_losses` must be one for each of the {len(losses)} tasks, "
                f"not {list(self.min_losses)}"
            )
        lowest = torch.tensor(self.min_losses, dtype=torch.float64)
        return (losses - lowest).clamp(min=TINY).log()
