"""The training environment: an episode is one training run of a multi-task model."""

import os
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from mtlgym.envs import saved_state
from mtlgym.envs.training.actions import make_interface
from mtlgym.envs.training.episode import Episode, EpisodeRunner
from mtlgym.envs.training.observations import Observer
from mtlgym.envs.training.options import TrainingOptions, configure
from mtlgym.envs.training.render import TrainingHistory, draw_picture, format_table
from mtlgym.envs.training.rewards import improvement
from mtlgym.io import checkpoint
from mtlgym.metrics import Baseline
from mtlgym.problems.problem import Problem
from mtlgym.record import Record
from mtlgym.training.validation import measure


class TrainingEnv(gym.Env[NDArray[np.float32], Any]):
    """Training a multi-task model as an MDP: losses in, task weights or the next task out.

    `reset` builds the model, the data order and the optimizer from one seed and computes the losses
    of the first batch; `step` trains on that batch as the action says and computes the losses of
    the next one. Where the action is a task, `reset` computes the loss of each task's first batch,
    and `step` trains on the next batch of the task, whose loss is then its latest.

    The budget's end is `truncated`: the MDP has no end of its own. A loss that is negative or not
    finite, or a gradient that is not finite, is `terminated`, with `failure_reward` and
    `info["failure"]` naming the task; the observation is then the last valid one, zeros if there
    was none. The attribute `is_open` is True while an episode is running.

    Source: Dai et al. (UAI 2023), section 3.2.2, for weights; Glover and Hokamp (2019), section 3,
    for tasks.
    """

    metadata = {"render_modes": ["rgb_array", "ansi"], "render_fps": 4}  # noqa: RUF012

    def __init__(
        self,
        problem: str | Problem,
        *,
        baseline: Baseline | Mapping[str, Any] | None = None,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        """Make the environment; `reset` builds the model.

        Args:
            problem: a key of `PROBLEMS`, or a `Problem`.
            baseline: single-task results that Delta_m compares with, in place of the problem's.
            render_mode: `rgb_array`, `ansi` or None.
            **options: fields of `TrainingOptions` (what the agent observes and decides), of
                `Training`, `Balance` and `Hardware` (how the model is trained) and arguments of the
                problem's builder, so that `gym.make(id, reward=..., lr=..., data=...)` takes them
                all.

        Raises:
            ValueError: for an unknown name or a value that is not allowed; names what is allowed.
        """
        modes = self.metadata["render_modes"]
        if not (render_mode is None or (isinstance(render_mode, str) and render_mode in modes)):
            raise ValueError(f"`render_mode` must be None or one of {modes}, not {render_mode!r}")
        self.render_mode = render_mode
        self.configuration = configure(problem, baseline, options)
        self.problem = self.configuration.problem
        self.options = self.configuration.options
        tasks = len(self.problem.tasks)
        self.interface = make_interface(self.options, tasks)
        self.action_space = self.interface.space
        self._observer = Observer(self.options.observation, tasks)
        self.observation_space = self._observer.space
        self._episodes = EpisodeRunner(self.configuration)
        self.is_open = False
        self._ready = False
        self._history = TrainingHistory()

    @property
    def episode(self) -> Episode:
        """The latest episode: its learner, and its latest record.

        Raises:
            gymnasium.error.ResetNeeded: before `reset`.
        """
        return self._episodes.episode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Build a fresh model and compute its first losses; `options` has no effect."""
        super().reset(seed=seed)
        record = self._episodes.start(int(self.np_random.integers(2**63)))
        self.is_open, self._ready = True, False
        self._history = TrainingHistory()
        sizes = task_sizes(self.problem, self.options)
        return self._observer.observe(record), self._info(record) | sizes

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Train as the action says, then compute the next losses.

        Raises:
            ValueError: for an action that is not allowed; nothing has changed then.
            gymnasium.error.ResetNeeded: before `reset`, and after the episode's end.
        """
        if not self.is_open:
            raise gym.error.ResetNeeded("no episode is open: call reset() before step()")
        decision = self.interface.decode(action)
        before = self.episode.record
        self.is_open = False  # an error in the middle of a step ends the episode
        after = self._episodes.advance(decision)
        reward = self.options.compute_reward(before, after)
        truncated = not after.failed and after.step == self.episode.budget  # the MDP has no end
        self.is_open = not (after.failed or truncated)
        if self.render_mode is not None:
            self._history.add(after, reward)
        self._ready = not (self.options.needs_base_losses and before.base_losses is None)
        return self._observer.observe(after), reward, after.failed, truncated, self._info(after)

    def evaluate(self, split: str = "val", *, best: bool = False) -> dict[str, float]:
        """The model's metrics on a split, `{"task/metric": value}`; changes nothing.

        Args:
            split: `train`, `val` or `test`.
            best: evaluate the parameters that validated best, not the latest ones.

        Raises:
            ValueError: for another split.
        """
        learner = self.episode.learner
        model = learner.validation.best_model(learner.model) if best else learner.model
        return measure(self.problem, model, split)

    def render(self) -> Any:
        """The episode so far: a picture (height, width, 3), or a table as text."""
        if self.render_mode == "rgb_array":
            return draw_picture(self._history, self.problem.tasks)
        if self.render_mode == "ansi":
            return format_table(self.episode.record, self._history, self.problem.tasks)
        return None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state of the episode to one file.

        Raises:
            OSError: if the file cannot be written; an older one at that path is untouched.
        """
        checkpoint.save(path, self.state_dict())

    def load(self, path: str | os.PathLike[str]) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Load a saved episode; return the observation and info at the time of saving.

        It then continues bit-identically (on a CPU, with the same builds and number of threads).
        The wrapper of `gym.make` requires a call of `reset` before the next step.

        Raises:
            ValueError: if the file is damaged, or of another version or of an environment of other
                options; names them. Nothing has changed then.
        """
        return self.load_state_dict(checkpoint.load(path))

    def state_dict(self) -> dict[str, Any]:
        """The state that `save` writes: nested plain values, tensors and arrays."""
        episode = self.episode
        state = {
            "random": self.np_random.bit_generator.state,
            "open": self.is_open,
            "history": self._history.state_dict(),
            "seed": episode.seed,
            "ready": self._ready,
            "episode": episode.state_dict(),
        }
        return saved_state.wrap(state, self.configuration.description)

    def load_state_dict(self, state: Any) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Load a state returned by `state_dict`; as `load`."""
        state = saved_state.unwrap(state, self.configuration.description)
        record = self._episodes.restore(state["seed"], state["episode"])
        self.np_random.bit_generator.state = state["random"]
        self._history = TrainingHistory.from_state(state["history"])
        self.is_open, self._ready = state["open"], state["ready"]
        return self._observer.observe(record), self._info(record)

    def follow(self) -> None:
        """In a process of a rank above 0: take part until the leader closes its environment.

        Raises:
            RuntimeError: in the leader or in a single process, or if the leader has exited.
        """
        self._episodes.follow()

    def close(self) -> None:
        """Let the other processes return from `follow`."""
        self._episodes.close()

    def _info(self, record: Record) -> dict[str, Any]:
        """The record, the kind of data, and whether the reward was defined, as plain values.

        Where the agent chooses tasks, also the improvement of the step, whatever the reward.
        """
        info = {
            **record.to_info(),
            "data": self.problem.source.kind,
            "reward_ready": self._ready,
        }
        if self.options.interface == "tasks":
            info["improvement"] = improvement(record, record)
        return info


def task_sizes(problem: Problem, options: TrainingOptions) -> dict[str, Any]:
    """The entry `task_sizes` of the first info: training samples a task, if these are chosen."""
    if options.interface != "tasks":
        return {}
    sizes = problem.splits["train"].sizes
    return {"task_sizes": np.broadcast_to(sizes, len(problem.tasks)).copy()}
