"""Keeps what a record needs from earlier steps."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mtlgym.envs.interfaces import Decision


class Tracker:
    """The losses and visits that later records refer to: L_base, each task's last visit.

    Attributes:
        base_losses: mean losses over the batches of the base epoch, None until its last one.
    """

    def __init__(self, tasks: int, base_epoch: int, steps_per_epoch: int) -> None:
        """Nothing has been seen yet."""
        self._base_epoch = base_epoch
        self._steps_per_epoch = steps_per_epoch
        self._sum = torch.zeros(tasks, dtype=torch.float64)
        self._seen = 0
        self._visited: list[float | None] = [None] * tasks  # the loss at the last visit
        self._since = torch.zeros(tasks, dtype=torch.int64)
        self.base_losses: Tensor | None = None

    def see(self, losses: Tensor, epoch: int) -> None:
        """Count the losses of one batch of this epoch towards L_base."""
        if epoch != self._base_epoch:
            return
        self._sum += losses
        self._seen += 1
        if self._seen == self._steps_per_epoch:
            # A base of 0 counts as the smallest normal number, so that ratios to it are finite.
            base = (self._sum / self._seen).clamp(min=torch.finfo(losses.dtype).tiny)
            self.base_losses = base.to(losses.dtype)

    def visit(self, decision: Decision, trained: Tensor) -> float | None:
        """Count a decision; give the chosen task's loss at its visit before, if there was one."""
        self._since += 1
        if decision.task is None:
            self._since[decision.weights > 0] = 0
            return None
        self._since[decision.task] = 0
        previous = self._visited[decision.task]
        self._visited[decision.task] = float(trained[0])
        return previous

    @property
    def since_chosen(self) -> Tensor:
        """Steps since each task was last trained on, (tasks,)."""
        return self._since.clone()

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs."""
        return copy.deepcopy(vars(self))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from that state."""
        vars(self).update(copy.deepcopy(dict(state)))
