"""One training run, decision by decision."""

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor

from mtlgym.distributed.process_group import TrainingGroup
from mtlgym.envs.leader import dismiss_followers, follow, join_group, lead
from mtlgym.envs.training.actions import Decision
from mtlgym.envs.training.options import Configuration, Settings
from mtlgym.problems.problem import Problem
from mtlgym.record import Record
from mtlgym.training.failure import failed_losses
from mtlgym.training.learner import Learner
from mtlgym.training.options import Training


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
        group: TrainingGroup | None = None,
    ) -> None:
        """Build the model from the seed, in [0, 2^63); `start` looks at the first losses.

        The group's processes share the batches; each has the same records.
        """
        assert settings.transform is not None
        joint = settings.interface == "weights"
        self.learner = Learner(
            problem, training, seed, settings.transform, joint=joint, group=group
        )
        self.seed = seed
        self._problem = problem
        self._settings = settings
        self.steps_per_epoch = self.learner.schedule.steps_per_epoch
        self.budget = self.learner.schedule.budget
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


class TrainingRun:
    """Has the latest episode, and starts and continues it; what the leader calls, all do."""

    def __init__(self, configuration: Configuration) -> None:
        """Set up, without an episode.

        Raises:
            ValueError: as `join`.
        """
        self._configuration = configuration
        hardware = configuration.training.hardware
        self._group = join_group(hardware, configuration.description)
        self._episode: Episode | None = None

    @property
    def episode(self) -> Episode:
        """The latest one.

        Raises:
            gymnasium.error.ResetNeeded: before `start`.
        """
        if self._episode is None:
            raise gym.error.ResetNeeded("there is no model yet: call reset() first")
        return self._episode

    def start(self, seed: int) -> Record:
        """A fresh episode's first record."""
        return lead(self._group, self._start, seed)

    def advance(self, decision: Decision) -> Record:
        """The next record."""
        return lead(self._group, self._advance, decision)

    def resume(self, seed: int, state: Any) -> Record:
        """The record of the episode that goes on from an episode's state."""
        return lead(self._group, self._resume, seed, state)

    def follow(self) -> None:
        """Do what the leader does until it closes its environment."""
        follow(self._group, (self._start, self._advance, self._resume))

    def close(self) -> None:
        """Let those that follow return."""
        dismiss_followers(self._group)

    def __getstate__(self) -> dict[str, Any]:
        """What copies are made of: an episode's state, as graphs cannot be copied.

        Raises:
            TypeError: where processes make the environment together.
        """
        made = self._episode
        kept = None if made is None else (made.seed, made.state_dict())
        return {"_group": self._group, "_configuration": self._configuration, "kept": kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Go on as the first; a batch that was looked at is looked at again."""
        kept = state.pop("kept")
        vars(self).update(state, _episode=None)
        if kept is not None:
            self._resume(*kept)

    def _start(self, seed: int) -> Record:
        episode = self._fresh(seed)
        episode.start()
        return self._taken(episode)

    def _advance(self, decision: Decision) -> Record:
        return self.episode.advance(decision)

    def _resume(self, seed: int, state: Any) -> Record:
        episode = self._fresh(seed)
        episode.load_state_dict(state)
        return self._taken(episode)

    def _fresh(self, seed: int) -> Episode:
        made = self._configuration
        return Episode(made.problem, made.training, made.settings, seed, self._group)

    def _taken(self, episode: Episode) -> Record:
        if self._group is not None:
            self._group.synchronize()  # that all have come this far, before anything has changed
        self._episode = episode
        return episode.record
