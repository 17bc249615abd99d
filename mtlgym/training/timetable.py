"""When a training validates, changes its learning rate and ends."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from mtlgym.training.options import Training
from mtlgym.training.schedule import SCHEDULERS
from mtlgym.training.validation import Validation


class Timetable:
    """Steps in an epoch and in the whole training, and what is due after each.

    Attributes:
        steps_per_epoch: optimizer steps in which the largest source is seen once or, where
            decisions choose the task, as many as all sources have batches.
        budget: optimizer steps in the whole training.
    """

    def __init__(
        self,
        training: Training,
        optimizer: Optimizer,
        validation: Validation,
        batches: Sequence[int],
        *,
        joint: bool,
    ) -> None:
        """Set up for sources of so many batches; `joint` if a step takes one of each."""
        self.steps_per_epoch = max(batches) if joint else sum(batches)
        self.budget = training.steps or training.epochs * self.steps_per_epoch
        self._training = training
        self._validation = validation
        self._schedule = SCHEDULERS[training.scheduler]
        self._scheduler = self._schedule.make(optimizer, self.budget)

    def after(self, steps: int, model: nn.Module) -> None:
        """Validate and move the learning rate on, as far as it is due after so many steps."""
        if self._schedule.per_step:
            self._scheduler.step()
        between, epochs = self._training.validate_steps, self._training.validate_every
        if between and steps % between == 0:
            self._validation.run(model)
        epoch, into = divmod(steps, self.steps_per_epoch)
        if into:
            return
        if epochs and not between and epoch % epochs == 0:
            self._validation.run(model)
        if isinstance(self._scheduler, ReduceLROnPlateau):
            self._scheduler.step(self._validation.score)
        elif not self._schedule.per_step:
            self._scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs, not copied."""
        return self._scheduler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from that state."""
        self._scheduler.load_state_dict(dict(state))
