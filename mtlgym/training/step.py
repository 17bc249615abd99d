"""From losses with a graph to new parameters: gradients, clipping, the optimizer's step."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from mtlgym.balancing.objective import slopes, weighted
from mtlgym.distributed.collectives import Group, average, average_gradients
from mtlgym.distributed.process_group import TrainingGroup
from mtlgym.problems.problem import Annealed, Problem
from mtlgym.randomness import FORWARD, private_randomness
from mtlgym.training.buffers import statistics
from mtlgym.training.failure import soundness
from mtlgym.training.feed import Share
from mtlgym.training.options import Training


class Forward:
    """Passes batches through a model, each time with the chance that the step has.

    In a group the losses are those of the whole batch, the same in all processes, with a graph
    of this process's part in them; running statistics are averaged. A process's chance is its own.
    """

    def __init__(
        self,
        problem: Problem,
        training: Training,
        model: nn.Module,
        seed: int,
        watching: Callable[[], AbstractContextManager[None]],
        group: TrainingGroup | None,
    ) -> None:
        """Know the model; passes of all tasks are made under `watching()`."""
        self._problem, self._model, self._seed = problem, model, seed
        self._hardware = training.hardware
        self._device = torch.device(training.hardware.device)
        self._annealed = model if isinstance(model, Annealed) else None
        repeated = training.balance.aggregator is not None
        self._called = training.hardware.called(model, repeated=repeated)
        self._watching = watching
        self._group = group
        self._own = (group.rank,) if group and group.rank else ()  # sets its chance apart

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
        if self._group is None or share.scale is None:
            return losses
        part = losses * share.scale.to(losses)
        whole = part.detach().clone()
        average([whole, *statistics(self._model)], self._group)
        return whole + (part - part.detach())


def _precise(losses: Tensor) -> Tensor:
    """The losses in float32 at least."""
    return losses.to(torch.promote_types(losses.dtype, torch.float32))


class Update:
    """A model's optimizer, and the gradient method before it if there is one.

    Nothing that is not finite reaches the parameters or the optimizer's moments.

    Attributes:
        optimizer: what moves the parameters.
        aggregation: the gradient method at work, None where gradients are added up.
        pending: with a fused optimizer, whether the last step was left out as its gradients were
            not sound: one number on the device, 1 if so; None once somebody has asked.
    """

    def __init__(
        self, model: nn.Module, training: Training, transform: str, group: Group = None
    ) -> None:
        """Set up for a model with the modules `trunk` and `heads`.

        Gradients are averaged over the group, if there is one.
        """
        self.optimizer = training.make_optimizer(model.parameters())
        found = training.balance.aggregation(model, group)
        self.aggregation = found[0] if found else None
        self._tap = found[1] if found else None
        self.pending: Tensor | None = None
        self._model = model
        self._group = group
        self._transform = transform
        self._fused = training.hardware.fused
        self._compiled = training.hardware.compile
        self._max_norm = training.balance.max_norm

    def watching(self) -> AbstractContextManager[None]:
        """What a forward pass of all tasks runs under, so that the trunk's output is known.

        Hooks would have a compiled model compiled anew.
        """
        if self._tap is None or self._compiled:
            return nullcontext()
        return self._tap.attached()

    def backward(self, losses: Tensor, weights: Tensor, *, joint: bool) -> None:
        """Fill every `.grad`; `joint` says whether these are the losses of all tasks.

        Raises:
            UnsoundGradientError: if the gradient method is given a gradient that is not finite.
        """
        self.optimizer.zero_grad()
        if self.aggregation is None or not joint:
            weighted(losses, weights, self._transform).sum().backward()
            average_gradients(self._model.parameters(), self._group)
        else:
            factors = slopes(losses.detach(), weights, self._transform)
            shared = set(self.aggregation.shared)
            others = [p for p in self._model.parameters() if p.requires_grad and p not in shared]
            self.aggregation.backward(losses, factors, others)
        if self._max_norm is not None:
            nn.utils.clip_grad_norm_(self._model.trunk.parameters(), self._max_norm)  # type: ignore[union-attr, operator]

    def step(self, *, wait: bool) -> bool:
        """Move the parameters if the gradients are sound; whether they are.

        With a fused optimizer and without `wait` the answer is True and the truth in `pending`.
        """
        unsound = soundness(self._model).logical_not()
        if not self._fused or wait:
            self.pending = None
            if unsound:
                return False
        else:
            self.pending = unsound.float()
            self.optimizer.found_inf = self.pending  # type: ignore[attr-defined]
        self.optimizer.step()
        return True

    def state_dict(self) -> dict[str, Any]:
        """All that an update of the same settings needs to go on, not copied."""
        state: dict[str, Any] = {"optimizer": self.optimizer.state_dict()}
        if self.aggregation is not None:
            state["aggregation"] = self.aggregation.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from that state."""
        self.optimizer.load_state_dict(state["optimizer"])
        if self.aggregation is not None:
            self.aggregation.load_state_dict(state["aggregation"])
