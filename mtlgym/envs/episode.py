"""One training run, decision by decision."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mtlgym.distributed.process_group import Company
from mtlgym.envs.interfaces import Decision
from mtlgym.envs.settings import Settings
from mtlgym.envs.tracker import Tracker
from mtlgym.problems.problem import Problem
from mtlgym.record import Record
from mtlgym.training.failure import failed_losses
from mtlgym.training.learner import Learner
from mtlgym.training.settings import Training


class Episode:
    """A learner and the record of where it stands.

    Attributes:
        learner: the model in training.
        record: the latest record.
        seed: what the whole run follows from.
        steps_per_epoch: optimizer steps in an epoch: those in which the largest source is seen
            once or, where decisions pick the task, in which all sources' batches could be.
        budget: optimizer steps in the run.
    """

    def __init__(
        self,
        problem: Problem,
        training: Training,
        settings: Settings,
        seed: int,
        company: Company | None = None,
    ) -> None:
        """Build the model from the seed, in [0, 2^63); `start` looks at the first losses.

        The company's processes share the batches; each has the same records.
        """
        assert settings.transform is not None
        joint = settings.interface == "weights"
        self.learner = Learner(
            problem, training, seed, settings.transform, joint=joint, company=company
        )
        self.seed = seed
        self._problem = problem
        self._settings = settings
        self.steps_per_epoch = self.learner.timetable.steps_per_epoch
        self.budget = self.learner.timetable.budget
        self._first_lr = training.lr
        self._tracker = Tracker(len(problem.tasks), settings.base_epoch, self.steps_per_epoch)

    def start(self) -> Record:
        """Look at every task's first loss."""
        if self._settings.interface == "tasks":
            losses = self.learner.first_losses()
            failure = failed_losses(losses, self._problem.tasks)
        else:
            losses, failure = self.learner.look()
        if failure:
            losses = losses.new_zeros(losses.shape)
        self.record = Record(losses=losses, first_lr=self._first_lr, failure=failure)
        return self._note(self.record)

    def advance(self, decision: Decision) -> Record:
        """Train as decided, then look at what comes next; give the new record."""
        before = self.record
        if before.failed:  # already the first look failed
            return before
        trained, failure = self._train(decision)
        retrained = None
        if not failure and self._settings.retraces:
            retrained = self.learner.retrace(decision.task)
            failure = failed_losses(retrained, self._names(decision))
        losses = before.losses  # the last sound ones, should this step fail
        if not failure:
            seen, failure = self._look(decision, trained)
            losses = losses if failure else seen
        after = Record(
            losses=losses,
            first_lr=before.first_lr,
            weights=decision.weights,
            task=decision.task,
            trained=None if failure else trained,
            retrained=None if failure else retrained,
            previous=None if failure else self._tracker.visit(decision, trained),
            failure=failure,
        )
        return self._note(after)

    def state_dict(self) -> dict[str, Any]:
        """All that an episode of the same settings needs to continue."""
        return {
            "learner": self.learner.state_dict(),
            "tracker": self._tracker.state_dict(),
            "record": {f.name: getattr(self.record, f.name) for f in dataclasses.fields(Record)},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from that state."""
        pending = self._settings.interface == "weights"
        self.learner.load_state_dict(state["learner"], look=pending)
        self._tracker.load_state_dict(state["tracker"])
        self.record = Record(**state["record"])

    def _train(self, decision: Decision) -> tuple[Tensor, str]:
        if decision.task is None:
            return self.record.losses, self.learner.learn(decision.weights)
        return self.learner.learn_task(decision.task)

    def _look(self, decision: Decision, trained: Tensor) -> tuple[Tensor, str]:
        self.learner.end_step()
        if decision.task is None:
            return self.learner.look()
        losses = self.record.losses.clone()
        losses[decision.task] = trained[0]
        return losses, ""

    def _note(self, record: Record) -> Record:
        """Complete the record by where the training stands, and keep it."""
        step = self.learner.steps
        epoch = min(step, self.budget - 1) // self.steps_per_epoch + 1
        if not record.failed:
            self._tracker.see(record.losses, epoch)
        self.record = dataclasses.replace(
            record,
            step=step,
            epoch=epoch,
            progress=step / self.budget,
            lr=self.learner.lr,
            base_losses=self._tracker.base_losses,
            since_chosen=self._tracker.since_chosen,
        )
        return self.record

    def _names(self, decision: Decision) -> tuple[str, ...]:
        tasks = self._problem.tasks
        return tasks if decision.task is None else (tasks[decision.task],)
