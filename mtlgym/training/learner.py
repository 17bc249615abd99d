"""A model in training: forward passes, gradients, optimizer steps and the schedule around them."""

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from mtlgym.balancing.jacobian.vjp import UnsoundGradientError
from mtlgym.balancing.objective import slopes, weighted
from mtlgym.distributed.collectives import Group, average, average_gradients
from mtlgym.distributed.process_group import TrainingGroup
from mtlgym.problems.problem import Annealed, Problem
from mtlgym.randomness import FORWARD, MODEL, private_randomness
from mtlgym.training.buffers import (
    copy_buffers,
    preserved_buffers,
    restore_buffers,
    running_statistics,
)
from mtlgym.training.failure import (
    failing_tasks,
    gradient_failure,
    gradients_are_finite,
    loss_failure,
)
from mtlgym.training.feed import Feed, Share
from mtlgym.training.options import Training
from mtlgym.training.schedule import SCHEDULERS
from mtlgym.training.validation import Validation


class Learner:
    """A model, its optimizer and schedule, and the batch that the next decision trains on.

    Where decisions weigh the tasks, `next_losses` and `train` alternate: one forward and one
    backward pass a step. Where they choose the task, `train_task` makes the whole step.

    With a process group each process has a learner of the same model. Losses and failures are
    those of the whole batch in all of them.

    Attributes:
        model: the model in training.
        update: its optimizer and gradient method.
        feed: the training batches.
        steps: optimizer steps made so far.
        validation: scores on the validation split.
        schedule: when the model is validated, when the learning rate changes, and the budget.
    """

    def __init__(
        self,
        problem: Problem,
        training: Training,
        seed: int,
        transform: str,
        *,
        joint: bool,
        group: TrainingGroup | None = None,
    ) -> None:
        """Build the model and the optimizer.

        Args:
            problem: the problem to learn.
            training: how the model is trained.
            seed: source of all random numbers, in [0, 2^63).
            transform: a key of `TRANSFORMS`, of what the weights multiply.
            joint: whether decisions weigh the tasks of a joint batch.
            group: processes that share the batches; None for a single process.
        """
        self._problem = problem
        self._transform = transform
        self._group = group
        self._hardware = training.hardware
        with private_randomness(torch.device(self._hardware.device), seed, MODEL):
            self.model = training.hardware.place(problem.build())
        self.update = Update(self.model, training, transform, group)
        hooks = self.update.trunk_hooks
        self._forward = ForwardPass(problem, training, self.model, seed, hooks, group)
        self._pending: tuple[Share, Tensor] | None = None  # a batch and its losses, with a graph
        self._trained: tuple[Share, Tensor] | None = None  # the last one and its weights
        self.feed = Feed(problem.splits["train"], training, seed, group)
        self.validation = Validation(problem, keep_best=training.keep_best, group=group)
        self.schedule = TrainingSchedule(
            training, self.update.optimizer, self.validation, self.feed.batches, joint=joint
        )
        self.steps = 0

    @property
    def lr(self) -> float:
        """Learning rate of the next optimizer step."""
        return float(self.update.optimizer.param_groups[0]["lr"])

    def next_losses(self) -> tuple[Float[Tensor, " tasks"], str]:
        """Draw the next batch and compute the losses that `train` trains on.

        Returns:
            The losses and the failure, empty if there is none. With a fused optimizer it may be
            the failure of the previous step, which was then skipped. After a failure the model's
            buffers are as before this call.
        """
        before, batch = copy_buffers(self.model), self.feed.next_share()
        losses = self._forward(batch, None, self.steps)
        self._pending = batch, losses
        values, failure = self._checked(losses)
        if failure:
            restore_buffers(self.model, before)
        return values, failure

    def train(self, weights: Float[Tensor, " tasks"]) -> str:
        """Make an optimizer step on the losses that `next_losses` computed.

        Returns:
            The failure, empty if there is none. After a failure the parameters are unchanged:
            nothing non-finite reaches the optimizer.
        """
        assert self._pending is not None, "next_losses() comes before train()"
        batch, losses = self._pending
        return self._step(losses, weights.to(losses), batch, None)

    def train_task(self, task: int) -> tuple[Float[Tensor, " one"], str]:
        """Make an optimizer step on the task's next batch.

        Returns:
            Its loss before the step, and the failure, empty if there is none. After a failure the
            model is unchanged.
        """
        before, batch = copy_buffers(self.model), self.feed.next_share_of(task)
        losses = self._forward(batch, task, self.steps)
        self._pending = batch, losses
        values = losses.detach().cpu()
        failure = loss_failure(values, self._names(task))
        failure = failure or self._step(losses, torch.ones_like(losses), batch, task)
        if failure:
            restore_buffers(self.model, before)
        return values, failure

    def recompute_losses(self, task: int | None) -> Float[Tensor, " trained"]:
        """The losses, after the step, of the batch just trained on: one more forward pass.

        Dropout draws the same numbers as before the step.
        """
        assert self._pending is not None, "there is no batch before the first decision"
        with torch.no_grad(), preserved_buffers(self.model):
            return self._forward(self._pending[0], task, self.steps - 1).cpu()

    def first_losses(self) -> Float[Tensor, " tasks"]:
        """Each task's loss on its first batch, which is not drawn from the feed."""
        with torch.no_grad(), preserved_buffers(self.model):
            tasks = range(len(self._problem.tasks))
            return torch.cat([self._forward(self.feed.peek(t), t, self.steps).cpu() for t in tasks])

    def end_step(self) -> None:
        """Validate and change the learning rate, if either is due after this step."""
        self.schedule.after(self.steps, self.model)

    def state_dict(self) -> dict[str, Any]:
        """The state of the training, for a learner with the same problem, options and seed."""
        state = {
            "steps": self.steps,
            "drawn": self.feed.drawn,
            "model": dict(self.model.state_dict()),
            "update": self.update.state_dict(),
            "timetable": self.schedule.state_dict(),
            "validation": self.validation.state_dict(),
        }
        return copy.deepcopy(state)

    def load_state_dict(self, state: Mapping[str, Any], *, pending: bool) -> None:
        """Load a state returned by `state_dict`; training then continues bit-identically.

        With `pending`, the losses of the batch drawn last are computed again.
        """
        self.model.load_state_dict(state["model"])
        self.update.load_state_dict(copy.deepcopy(state["update"]))
        self.schedule.load_state_dict(state["timetable"])
        self.validation.load_state_dict(state["validation"])
        self.steps = state["steps"]
        self.feed.drawn = list(state["drawn"])
        if pending:
            self.feed.drawn = [k - 1 for k in self.feed.drawn]
            self.next_losses()
            restore_buffers(self.model, state["model"])  # the forward pass has changed them again

    def _names(self, task: int | None) -> Sequence[str]:
        return self._problem.tasks if task is None else (self._problem.tasks[task],)

    def _checked(self, losses: Tensor) -> tuple[Tensor, str]:
        """The losses on the CPU, and the failure: theirs, or that of a skipped step."""
        if self.update.skipped is None:
            values = losses.detach().cpu()
            return values, loss_failure(values, self._problem.tasks)
        both = torch.cat([losses.detach(), self.update.skipped[None]]).cpu()  # waits only once
        values, self.update.skipped = both[:-1], None
        if not both[-1]:
            return values, loss_failure(values, self._problem.tasks)
        self.steps -= 1
        assert self._trained is not None
        return values, self._find_failure(*self._trained, None)

    def _step(self, losses: Tensor, weights: Tensor, batch: Share, task: int | None) -> str:
        if not losses.requires_grad:
            raise ValueError(f"the losses of problem {self._problem.name!r} have no gradient")
        self._pending = batch, losses.detach()  # so that the backward pass frees the graph
        self._trained = batch, weights
        try:
            with self._hardware.repeatable():
                self.update.backward(losses, weights, joint=task is None)
        except UnsoundGradientError as error:
            return gradient_failure([self._problem.tasks[each] for each in error.tasks])
        if not self.update.step(wait=task is not None):
            return self._find_failure(batch, weights, task)
        self.steps += 1
        return ""

    def _find_failure(self, batch: Share, weights: Tensor, task: int | None) -> str:
        """The failure of a step whose gradients were not finite; names the tasks."""
        with preserved_buffers(self.model):
            losses = self._forward(batch, task, self.steps)
            terms = weighted(losses, weights, self._transform)
            names = failing_tasks(self.model, terms, self._names(task), self._group)
            return gradient_failure(names)


class ForwardPass:
    """Passes batches through a model, with random numbers that depend on seed and step alone.

    With a process group the losses are those of the whole batch, equal in all processes, with the
    graph of this process's part; running statistics are averaged. Each process draws random
    numbers of its own.
    """

    def __init__(
        self,
        problem: Problem,
        training: Training,
        model: nn.Module,
        seed: int,
        hooks: Callable[[], AbstractContextManager[None]],
        group: TrainingGroup | None,
    ) -> None:
        """Set up for the model; joint batches are passed through it under `hooks()`."""
        self._problem, self._model, self._seed = problem, model, seed
        self._hardware = training.hardware
        self._device = torch.device(training.hardware.device)
        self._annealed = model if isinstance(model, Annealed) else None
        repeated = training.balance.aggregator is not None
        self._callable = training.hardware.compiled(model, repeated=repeated)
        self._hooks = hooks
        self._group = group
        self._rank_key = (group.rank,) if group and group.rank else ()

    def __call__(self, share: Share, task: int | None, steps: int) -> Tensor:
        """The losses, (tasks,), or that of one task, (1,), at least in float32.

        Args:
            share: this process's part of a batch, of the task's source or of all sources.
            task: index of the task; None for all tasks.
            steps: optimizer steps made so far.

        Raises:
            ValueError: if the problem does not give one loss a task.
        """
        if self._annealed is not None:
            self._annealed.at(steps)
        batch, key = share.batch, (self._seed, FORWARD, steps, *self._rank_key)
        with private_randomness(self._device, *key), self._hardware.repeatable():
            if task is not None:
                with self._hardware.forward():
                    loss = self._problem.task_loss(self._callable, batch, task)
                return self._of_whole_batch(_at_least_float32(loss).reshape(1), share)
            with self._hooks(), self._hardware.forward():
                losses = self._problem.losses(self._callable, batch)
        if losses.shape != (len(self._problem.tasks),):
            raise ValueError(
                f"the losses of problem {self._problem.name!r} must have the shape "
                f"({len(self._problem.tasks)},), not {tuple(losses.shape)}"
            )
        return self._of_whole_batch(_at_least_float32(losses), share)

    def _of_whole_batch(self, losses: Tensor, share: Share) -> Tensor:
        """The values of the whole batch's losses, with the graph of this process's part."""
        if self._group is None or share.scale is None:
            return losses
        part = losses * share.scale.to(losses)
        whole = part.detach().clone()
        average([whole, *running_statistics(self._model)], self._group)
        return whole + (part - part.detach())


def _at_least_float32(losses: Tensor) -> Tensor:
    return losses.to(torch.promote_types(losses.dtype, torch.float32))


class Update:
    """Gradients of weighted losses, by a gradient method if there is one, and the optimizer step.

    Gradients that are not finite reach neither the parameters nor the optimizer's moments.

    Attributes:
        optimizer: updates the parameters.
        aggregation: runs the gradient method; None where gradients are added up.
        skipped: with a fused optimizer, whether the last step was skipped because its gradients
            were not finite: one number on the device, 1 if so; None once it was read.
    """

    def __init__(
        self, model: nn.Module, training: Training, transform: str, group: Group = None
    ) -> None:
        """Set up for a model with the modules `trunk` and `heads`.

        Gradients are averaged over the group, if there is one.
        """
        self.optimizer = training.make_optimizer(model.parameters())
        balancing = training.balance.aggregation(model, group)
        self.aggregation = balancing[0] if balancing else None
        self._hooks = balancing[1] if balancing else None
        self.skipped: Tensor | None = None
        self._model = model
        self._group = group
        self._transform = transform
        self._fused = training.hardware.fused
        self._compiled = training.hardware.compile
        self._max_norm = training.balance.max_norm

    def trunk_hooks(self) -> AbstractContextManager[None]:
        """The context of a joint batch's forward pass, in which the trunk's output is recorded.

        A compiled model gets no hooks, as they would have it compiled again.
        """
        if self._hooks is None or self._compiled:
            return nullcontext()
        return self._hooks.attached()

    def backward(self, losses: Tensor, weights: Tensor, *, joint: bool) -> None:
        """Compute every `.grad`; `joint` is whether these are the losses of all tasks.

        Raises:
            UnsoundGradientError: if a gradient is not finite that the gradient method needs.
        """
        self.optimizer.zero_grad()
        if self.aggregation is None or not joint:
            weighted(losses, weights, self._transform).sum().backward()
            if self._group is not None:
                average_gradients(self._model.parameters(), self._group)
        else:
            factors = slopes(losses.detach(), weights, self._transform)
            shared = set(self.aggregation.shared)
            others = [p for p in self._model.parameters() if p.requires_grad and p not in shared]
            self.aggregation.backward(losses, factors, others)
        if self._max_norm is not None:
            nn.utils.clip_grad_norm_(self._model.trunk.parameters(), self._max_norm)  # type: ignore[union-attr, operator]

    def step(self, *, wait: bool) -> bool:
        """Make the optimizer step if the gradients are finite; return whether they are.

        With a fused optimizer and without `wait` the result is True, and `skipped` has the truth.
        """
        unsound = gradients_are_finite(self._model).logical_not()
        if not self._fused or wait:
            self.skipped = None
            if unsound:
                return False
        else:
            self.skipped = unsound.float()
            self.optimizer.found_inf = self.skipped  # type: ignore[attr-defined]
        self.optimizer.step()
        return True

    def state_dict(self) -> dict[str, Any]:
        """The state of optimizer and gradient method, not copied."""
        state: dict[str, Any] = {"optimizer": self.optimizer.state_dict()}
        if self.aggregation is not None:
            state["aggregation"] = self.aggregation.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state returned by `state_dict`."""
        self.optimizer.load_state_dict(state["optimizer"])
        if self.aggregation is not None:
            self.aggregation.load_state_dict(state["aggregation"])


class TrainingSchedule:
    """The steps of an epoch and of the whole training, and what is due after each.

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
        """Set up for sources of so many batches each; `joint` if a step takes one of each."""
        self.steps_per_epoch = max(batches) if joint else sum(batches)
        self.budget = training.steps or training.epochs * self.steps_per_epoch
        self._training = training
        self._validation = validation
        self._schedule = SCHEDULERS[training.scheduler]
        self._scheduler = self._schedule.make(optimizer, self.budget)

    def after(self, steps: int, model: nn.Module) -> None:
        """Validate and change the learning rate, if either is due after that many steps."""
        if self._schedule.per_step:
            self._scheduler.step()
        between, epochs = self._training.validate_steps, self._training.validate_every
        if between and steps % between == 0:
            self._validation.run(model)
        epoch, steps_into_epoch = divmod(steps, self.steps_per_epoch)
        if steps_into_epoch:
            return
        if epochs and not between and epoch % epochs == 0:
            self._validation.run(model)
        if isinstance(self._scheduler, ReduceLROnPlateau):
            self._scheduler.step(self._validation.score)
        elif not self._schedule.per_step:
            self._scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """The state of the learning-rate scheduler, not copied."""
        return self._scheduler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state returned by `state_dict`."""
        self._scheduler.load_state_dict(dict(state))
