"""The model in training: what an environment's decisions act on."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from mtlgym.balancing.jacobian.vjp import UnsoundGradientError
from mtlgym.balancing.objective import weighted
from mtlgym.distributed.process_group import TrainingGroup
from mtlgym.problems.problem import Problem
from mtlgym.randomness import MODEL, private_randomness
from mtlgym.training.buffers import copies, put_back, unmoved
from mtlgym.training.failure import blame, failed_losses, unsound
from mtlgym.training.feed import Feed, Share
from mtlgym.training.options import Training
from mtlgym.training.schedule import SCHEDULERS
from mtlgym.training.step import Forward, Update
from mtlgym.training.validation import Validation


class TrainingSchedule:
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


class Learner:
    """A model, its optimizer and schedule, and the batch that the next decision trains on.

    Where decisions weigh the tasks, `look` and `learn` alternate: one forward and one backward
    pass a step. Where they choose the task, `learn_task` makes the whole step.

    In a group each process has a learner of the same model. Losses are those of the whole batch
    in all of them, and so are failures.

    Attributes:
        model: the model in training.
        update: its optimizer and gradient method.
        feed: the training batches.
        steps: optimizer steps made so far.
        validation: scores on the validation split.
        schedule: when it validates, changes the learning rate and ends.
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
        """Build the model and the optimizer; all chance comes from `seed`, in [0, 2^63).

        `joint` says whether decisions weigh the tasks of a joint batch; the group's processes
        share the batches.
        """
        self._problem = problem
        self._transform = transform
        self._group = group
        self._hardware = training.hardware
        with private_randomness(torch.device(self._hardware.device), seed, MODEL):
            self.model = training.hardware.place(problem.build())
        self.update = Update(self.model, training, transform, group)
        watching = self.update.watching
        self._forward = Forward(problem, training, self.model, seed, watching, group)
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

    def look(self) -> tuple[Float[Tensor, " tasks"], str]:
        """Draw the next batch; give the losses that `learn` will train on, and any failure.

        With a fused optimizer the failure may be that of the step before, which was not made.
        After a failure the model's buffers are as before the look.
        """
        before, batch = copies(self.model), self.feed.next_share()
        losses = self._forward(batch, None, self.steps)
        self._pending = batch, losses
        seen, failure = self._seen(losses)
        if failure:
            put_back(self.model, before)
        return seen, failure

    def learn(self, weights: Float[Tensor, " tasks"]) -> str:
        """Train on the batch that was looked at; give any failure.

        Nothing non-finite reaches the optimizer: after a failure the parameters are unchanged.
        """
        assert self._pending is not None, "look() comes before learn()"
        batch, losses = self._pending
        return self._update(losses, weights.to(losses), batch, None)

    def learn_task(self, task: int) -> tuple[Float[Tensor, " one"], str]:
        """Train on the task's next batch; give its loss before the update, and any failure.

        After a failure the model is as it was.
        """
        before, batch = copies(self.model), self.feed.next_share_of(task)
        losses = self._forward(batch, task, self.steps)
        self._pending = batch, losses
        seen = losses.detach().cpu()
        failure = failed_losses(seen, self._names(task))
        failure = failure or self._update(losses, torch.ones_like(losses), batch, task)
        if failure:
            put_back(self.model, before)
        return seen, failure

    def retrace(self, task: int | None) -> Float[Tensor, " trained"]:
        """The losses, after the update, of the batch just trained on: one more forward pass.

        Dropout draws what it drew before the update.
        """
        assert self._pending is not None, "there is no batch before the first decision"
        with torch.no_grad(), unmoved(self.model):
            return self._forward(self._pending[0], task, self.steps - 1).cpu()

    def first_losses(self) -> Float[Tensor, " tasks"]:
        """Each task's loss on its first batch, which stays to be drawn."""
        with torch.no_grad(), unmoved(self.model):
            tasks = range(len(self._problem.tasks))
            return torch.cat([self._forward(self.feed.peek(t), t, self.steps).cpu() for t in tasks])

    def end_step(self) -> None:
        """Validate and move the learning rate on, as far as it is due."""
        self.schedule.after(self.steps, self.model)

    def state_dict(self) -> dict[str, Any]:
        """All that a learner of the same problem, training and seed needs to continue."""
        state = {
            "steps": self.steps,
            "drawn": self.feed.drawn,
            "model": dict(self.model.state_dict()),
            "update": self.update.state_dict(),
            "timetable": self.schedule.state_dict(),
            "validation": self.validation.state_dict(),
        }
        return copy.deepcopy(state)

    def load_state_dict(self, state: Mapping[str, Any], *, look: bool) -> None:
        """Continue from that state; with `look`, the batch that was pending is looked at again."""
        self.model.load_state_dict(state["model"])
        self.update.load_state_dict(copy.deepcopy(state["update"]))
        self.schedule.load_state_dict(state["timetable"])
        self.validation.load_state_dict(state["validation"])
        self.steps = state["steps"]
        self.feed.drawn = list(state["drawn"])
        if look:
            self.feed.drawn = [k - 1 for k in self.feed.drawn]
            self.look()
            put_back(self.model, state["model"])  # which looking has moved once more

    def _names(self, task: int | None) -> Sequence[str]:
        return self._problem.tasks if task is None else (self._problem.tasks[task],)

    def _seen(self, losses: Tensor) -> tuple[Tensor, str]:
        """The losses on the CPU, and any failure: theirs, or that of a step that was not made."""
        if self.update.pending is None:
            seen = losses.detach().cpu()
            return seen, failed_losses(seen, self._problem.tasks)
        both = torch.cat([losses.detach(), self.update.pending[None]]).cpu()  # one wait for both
        seen, self.update.pending = both[:-1], None
        if not both[-1]:
            return seen, failed_losses(seen, self._problem.tasks)
        self.steps -= 1
        assert self._trained is not None
        return seen, self._blame(*self._trained, None)

    def _update(self, losses: Tensor, weights: Tensor, batch: Share, task: int | None) -> str:
        if not losses.requires_grad:
            raise ValueError(f"the losses of problem {self._problem.name!r} have no gradient")
        self._pending = batch, losses.detach()  # the graph goes with the last step that needs it
        self._trained = batch, weights
        try:
            with self._hardware.repeatable():
                self.update.backward(losses, weights, joint=task is None)
        except UnsoundGradientError as error:
            return unsound([self._problem.tasks[each] for each in error.tasks])
        if not self.update.step(wait=task is not None):
            return self._blame(batch, weights, task)
        self.steps += 1
        return ""

    def _blame(self, batch: Share, weights: Tensor, task: int | None) -> str:
        with unmoved(self.model):
            losses = self._forward(batch, task, self.steps)
            terms = weighted(losses, weights, self._transform)
            return blame(self.model, terms, self._names(task), self._group)
