"""A forward pass in training: from a batch to its losses."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from mtlgym.distributed.collectives import average
from mtlgym.distributed.process_group import Company
from mtlgym.problems.problem import Annealed, Problem
from mtlgym.randomness import FORWARD, private_randomness
from mtlgym.training.buffers import statistics
from mtlgym.training.feed import Share
from mtlgym.training.settings import Training


class Forward:
    """Passes batches through a model, each time with the chance that the step has.

    In a company the losses are those of the whole batch, the same in all processes, with a graph
    of this process's part in them; running statistics are averaged. A process's chance is its own.
    """

    def __init__(
        self,
        problem: Problem,
        training: Training,
        model: nn.Module,
        seed: int,
        watching: Callable[[], AbstractContextManager[None]],
        company: Company | None,
    ) -> None:
        """Know the model; passes of all tasks are made under `watching()`."""
        self._problem, self._model, self._seed = problem, model, seed
        self._hardware = training.hardware
        self._device = torch.device(training.hardware.device)
        self._annealed = model if isinstance(model, Annealed) else None
        repeated = training.balance.aggregator is not None
        self._called = training.hardware.called(model, repeated=repeated)
        self._watching = watching
        self._company = company
        self._own = (company.rank,) if company and company.rank else ()  # sets its chance apart

    def __call__(self, share: Share, task: int | None, steps: int) -> Tensor:
        """The losses, (tasks,), or the one task's, (1,), in float32 at least.

        Args:
            share: what to pass, of the task's source or of all.
            task: whose loss is asked for; None for all.
            steps: that the optimizer has made.

        Raises:
            ValueError: if the problem's losses are not one a task.
        """
        if self._annealed is not None:
            self._annealed.at(steps)
        batch, key = share.batch, (self._seed, FORWARD, steps, *self._own)
        with private_randomness(self._device, *key), self._hardware.repeatable():
            if task is not None:
                with self._hardware.forward():
                    loss = self._problem.task_loss(self._called, batch, task)
                return self._whole(_precise(loss).reshape(1), share)
            with self._watching(), self._hardware.forward():
                losses = self._problem.losses(self._called, batch)
        if losses.shape != (len(self._problem.tasks),):
            raise ValueError(
                f"the losses of problem {self._problem.name!r} must have the shape "
                f"({len(self._problem.tasks)},), not {tuple(losses.shape)}"
            )
        return self._whole(_precise(losses), share)

    def _whole(self, losses: Tensor, share: Share) -> Tensor:
        if self._company is None or share.scale is None:
            return losses
        part = losses * share.scale.to(losses)
        whole = part.detach().clone()
        average([whole, *statistics(self._model)], self._company)
        return whole + (part - part.detach())


def _precise(losses: Tensor) -> Tensor:
    """The losses in float32 at least."""
    return losses.to(torch.promote_types(losses.dtype, torch.float32))
