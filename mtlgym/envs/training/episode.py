"""Episodes of the training environment: a training run, one decision a step."""

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
from mtlgym.envs.training.options import TrainingConfiguration, TrainingOptions
from mtlgym.problems.problem import Problem
from mtlgym.record import Record
from mtlgym.training.failure import loss_failure
from mtlgym.training.learner import Learner
from mtlgym.training.options import Training


class EpisodeRunner:
    """Starts, advances and restores episodes; with a process group, in all processes at once.

    A copy has an episode of its own, which continues as this one does.
    """

    def __init__(self, configuration: TrainingConfiguration) -> None:
        """Set up without an episode.

        Raises:
            ValueError: as `join_group`.
        """
        self._configuration = configuration
        hardware = configuration.training.hardware
        self._group = join_group(hardware, configuration.description)
        self._episode: Episode | None = None

    @property
    def episode(self) -> "Episode":
        """The latest episode.

        Raises:
            gymnasium.error.ResetNeeded: before `start`.
        """
        if self._episode is None:
            raise gym.error.ResetNeeded("there is no model yet: call reset() first")
        return self._episode

    def start(self, seed: int) -> Record:
        """Start a fresh episode from the seed; return its first record."""
        return lead(self._group, self._start, seed)

    def advance(self, decision: Decision) -> Record:
        """Train as the decision says; return the next record."""
        return lead(self._group, self._advance, decision)

    def restore(self, seed: int, state: Any) -> Record:
        """Restore an episode from its seed and state; return its latest record."""
        return lead(self._group, self._restore, seed, state)

    def follow(self) -> None:
        """Repeat what the leader does until it closes its environment."""
        follow(self._group, (self._start, self._advance, self._restore))

    def close(self) -> None:
        """Let the followers return."""
        dismiss_followers(self._group)

    def __getstate__(self) -> dict[str, Any]:
        """Copy an episode by its state, as autograd graphs cannot be copied.

        Copying raises a TypeError with a process group, which cannot be copied.
        """
        episode = self._episode
        saved = None if episode is None else (episode.seed, episode.state_dict())
        return {"_group": self._group, "_configuration": self._configuration, "saved": saved}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the episode; the losses of the pending batch are computed again."""
        saved = state.pop("saved")
        vars(self).update(state, _episode=None)
        if saved is not None:
            self._restore(*saved)

    def _start(self, seed: int) -> Record:
        episode = self._build(seed)
        episode.start()
        return self._replace(episode)

    def _advance(self, decision: Decision) -> Record:
        return self.episode.advance(decision)

    def _restore(self, seed: int, state: Any) -> Record:
        episode = self._build(seed)
        episode.load_state_dict(state)
        return self._replace(episode)

    def _build(self, seed: int) -> "Episode":
        configuration = self._configuration
        return Episode(
            configuration.problem,
            configuration.training,
            configuration.options,
            seed,
            self._group,
        )

    def _replace(self, episode: "Episode") -> Record:
        if self._group is not None:
            self._group.synchronize()  # after an error in any process, none of them has changed
        self._episode = episode
        return episode.record


class Episode:
    """A training run: a learner, and the latest record of the training.

    Attributes:
        learner: the model in training.
        record: the latest record.
        seed: source of all random numbers of the run.
        steps_per_epoch: optimizer steps in an epoch, in which the largest source is seen once or,
            where decisions choose the task, as many as all sources have batches.
        budget: optimizer steps in the run.
    """

    def __init__(
        self,
        problem: Problem,
        training: Training,
        options: TrainingOptions,
        seed: int,
        group: TrainingGroup | None = None,
    ) -> None:
        """Build the model from the seed, in [0, 2^63); `start` computes the first losses.

        The group's processes share the batches; each has the same records.
        """
        assert options.transform is not None
        joint = options.interface == "weights"
        self.learner = Learner(problem, training, seed, options.transform, joint=joint, group=group)
        self.seed = seed
        self._problem = problem
        self._options = options
        self.steps_per_epoch = self.learner.schedule.steps_per_epoch
        self.budget = self.learner.schedule.budget
        self._first_lr = training.lr
        self._statistics = EpisodeStatistics(
            len(problem.tasks), options.base_epoch, self.steps_per_epoch
        )

    def start(self) -> Record:
        """Compute every task's first loss; return the first record."""
        if self._options.interface == "tasks":
            losses = self.learner.first_losses()
            failure = loss_failure(losses, self._problem.tasks)
        else:
            losses, failure = self.learner.next_losses()
        if failure:
            losses = losses.new_zeros(losses.shape)
        self.record = Record(losses=losses, first_lr=self._first_lr, failure=failure)
        return self._complete(self.record)

    def advance(self, decision: Decision) -> Record:
        """Train as decided, then compute the next losses; return the new record."""
        before = self.record
        if before.failed:  # the first losses were not valid
            return before
        trained, failure = self._train(decision)
        retrained = None
        if not failure and self._options.needs_same_batch:
            retrained = self.learner.recompute_losses(decision.task)
            failure = loss_failure(retrained, self._names(decision))
        losses = before.losses  # the last valid ones, if this step fails
        if not failure:
            following, failure = self._next_losses(decision, trained)
            losses = losses if failure else following
        after = Record(
            losses=losses,
            first_lr=before.first_lr,
            weights=decision.weights,
            task=decision.task,
            trained=None if failure else trained,
            retrained=None if failure else retrained,
            previous=None if failure else self._statistics.add_decision(decision, trained),
            failure=failure,
        )
        return self._complete(after)

    def state_dict(self) -> dict[str, Any]:
        """The state of learner, statistics and record."""
        return {
            "learner": self.learner.state_dict(),
            "tracker": self._statistics.state_dict(),
            "record": {f.name: getattr(self.record, f.name) for f in dataclasses.fields(Record)},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state returned by `state_dict` of an episode with the same options and seed."""
        pending = self._options.interface == "weights"
        self.learner.load_state_dict(state["learner"], pending=pending)
        self._statistics.load_state_dict(state["tracker"])
        self.record = Record(**state["record"])

    def _train(self, decision: Decision) -> tuple[Tensor, str]:
        if decision.task is None:
            return self.record.losses, self.learner.train(decision.weights)
        return self.learner.train_task(decision.task)

    def _next_losses(self, decision: Decision, trained: Tensor) -> tuple[Tensor, str]:
        self.learner.end_step()
        if decision.task is None:
            return self.learner.next_losses()
        losses = self.record.losses.clone()
        losses[decision.task] = trained[0]
        return losses, ""

    def _complete(self, record: Record) -> Record:
        """Add the state of the schedule and the statistics to the record, and keep it."""
        step = self.learner.steps
        epoch = min(step, self.budget - 1) // self.steps_per_epoch + 1
        if not record.failed:
            self._statistics.add_losses(record.losses, epoch)
        self.record = dataclasses.replace(
            record,
            step=step,
            epoch=epoch,
            progress=step / self.budget,
            lr=self.learner.lr,
            base_losses=self._statistics.base_losses,
            since_chosen=self._statistics.since_chosen,
        )
        return self.record

    def _names(self, decision: Decision) -> tuple[str, ...]:
        tasks = self._problem.tasks
        return tasks if decision.task is None else (tasks[decision.task],)


class EpisodeStatistics:
    """Running statistics that records contain: L_base, and when each task was last trained on.

    Attributes:
        base_losses: mean losses over the batches of the base epoch; None until its last batch.
    """

    def __init__(self, tasks: int, base_epoch: int, steps_per_epoch: int) -> None:
        """Start before the first batch."""
        self._base_epoch = base_epoch
        self._steps_per_epoch = steps_per_epoch
        self._sum = torch.zeros(tasks, dtype=torch.float64)
        self._seen = 0
        self._visited: list[float | None] = [None] * tasks  # the loss when last chosen
        self._since = torch.zeros(tasks, dtype=torch.int64)
        self.base_losses: Tensor | None = None

    def add_losses(self, losses: Tensor, epoch: int) -> None:
        """Add the losses of one batch of this epoch to L_base."""
        if epoch != self._base_epoch:
            return
        self._sum += losses
        self._seen += 1
        if self._seen == self._steps_per_epoch:
            # A base of 0 counts as the smallest normal number, so that ratios to it are finite.
            base = (self._sum / self._seen).clamp(min=torch.finfo(losses.dtype).tiny)
            self.base_losses = base.to(losses.dtype)

    def add_decision(self, decision: Decision, trained: Tensor) -> float | None:
        """Add a decision; return the chosen task's loss when it was last chosen, None if never."""
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
        """A copy of all values."""
        return copy.deepcopy(vars(self))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state returned by `state_dict`."""
        vars(self).update(copy.deepcopy(dict(state)))
