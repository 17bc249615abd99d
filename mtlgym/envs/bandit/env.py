"""The synthetic multi-task bandit: an arm stands for a task, an episode for a training budget."""

import os
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.envs import saved_state
from mtlgym.envs.bandit.arms import Bandit, build, configure, draw
from mtlgym.envs.bandit.render import BanditHistory, draw_picture, format_table
from mtlgym.envs.bandit.scores import Scores


class BanditEnv(gym.Env[NDArray[np.float32], Any]):
    """Arms that learn a little when they are pulled and forget a little in every step.

    With a budget of T pulls and an oracle distribution over the arms,

        LI_k = MaxP_k / (T oracle_k),  FI_k = u_k LI_k,
        score_k <- min(score_k + LI_k, MaxP_k) for the arm k that is pulled, then
        score_j <- max(score_j - FI_j, 0) for every arm j.

    Scores start at 0; the aim is a high mean score at the end. `reset(seed=...)` draws the oracle
    from a Dirichlet distribution, and MaxP and u uniformly; `reset()` keeps them, and all else is
    deterministic. After `reset` they are the attributes `oracle`, `max_p`, `learning_increment`
    and `forget_increment`, read-only arrays, (arms,). The attribute `is_open` is True while an
    episode is running.

    Source: Glover and Hokamp (2019), section 4.1.
    Differs from it in that T, which it does not state, is 10,000 by default, and in that MaxP and
    u, for which it states only the ranges, are uniform.
    """

    metadata = {"render_modes": ["rgb_array", "ansi"], "render_fps": 4}  # noqa: RUF012
    oracle: NDArray[np.float64]
    max_p: NDArray[np.float64]
    learning_increment: NDArray[np.float64]
    forget_increment: NDArray[np.float64]

    def __init__(self, *, render_mode: str | None = None, **options: Any) -> None:
        """Make the environment; `reset` draws the bandit.

        Args:
            render_mode: `rgb_array`, `ansi` or None.
            **options: fields of `BanditOptions`.

        Raises:
            ValueError: for an unknown option or a value that is not allowed; names what is allowed.
        """
        modes = self.metadata["render_modes"]
        if not (render_mode is None or (isinstance(render_mode, str) and render_mode in modes)):
            raise ValueError(f"`render_mode` must be None or one of {modes}, not {render_mode!r}")
        self.render_mode = render_mode
        self.options = configure(options)
        self.tasks, self.budget = self.options.tasks, self.options.steps
        self.action_space = spaces.Discrete(self.options.arms)
        self.observation_space = self.options.observation_space
        self._bandit: Bandit | None = None
        self._scores: Scores | None = None
        self._history = BanditHistory()

    @property
    def is_open(self) -> bool:
        """Whether an episode is running."""
        return self._scores is not None and self._scores.step < self.budget

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start from scores of 0; with a seed, draw a new bandit. `options` has no effect."""
        super().reset(seed=seed)
        bandit = self._bandit
        if seed is not None or bandit is None:
            bandit = build(self.options, draw(self.options, self.np_random))
        return self._begin(bandit, Scores(bandit, self.budget), BanditHistory())

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Pull an arm, then let all arms forget.

        Raises:
            ValueError: for an action that is not allowed; nothing has changed then.
            gymnasium.error.ResetNeeded: before `reset`, and after the episode's end.
        """
        scores = self._scores
        if scores is None or scores.step >= self.budget:
            raise gym.error.ResetNeeded("no episode is open: call reset() before step()")
        arm = checks.choice("action", action, self.options.arms)
        scores.pull(arm)
        if self.render_mode is not None:
            self._history.add(arm, scores.arms)
        info = scores.values()
        truncated = scores.step == self.budget  # a bandit has no end of its own
        return scores.observe(), info[self.options.reward], False, truncated, info

    def render(self) -> Any:
        """The episode so far: a picture (height, width, 3), or a table as text."""
        if self.render_mode is None:
            return None
        if self._bandit is None or self._scores is None:
            raise gym.error.ResetNeeded("there is no bandit yet: call reset() before render()")
        if self.render_mode == "rgb_array":
            return draw_picture(self._history, self.tasks, self._scores.step)
        return format_table(self._history, self.tasks, self._bandit, self._scores)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state of the bandit and its episode to one file.

        Raises:
            OSError: if the file cannot be written; an older one at that path is untouched.
        """
        from mtlgym.io import checkpoint  # imports torch

        checkpoint.save(path, self.state_dict())

    def load(self, path: str | os.PathLike[str]) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Load a saved episode; return the observation and info at the time of saving.

        It then continues bit-identically. The wrapper of `gym.make` requires a call of `reset`
        before the next step.

        Raises:
            ValueError: if the file is damaged, or of another version or of a bandit of other
                options; names them. Nothing has changed then.
        """
        from mtlgym.io import checkpoint

        return self.load_state_dict(checkpoint.load(path))

    def state_dict(self) -> dict[str, Any]:
        """The state that `save` writes: nested plain values and arrays.

        Raises:
            gymnasium.error.ResetNeeded: before `reset`.
        """
        if self._bandit is None or self._scores is None:
            raise gym.error.ResetNeeded("there is no bandit yet: call reset() first")
        state = {
            "random": self.np_random.bit_generator.state,
            "bandit": self._bandit.state_dict(),
            "scores": self._scores.state_dict(),
            "history": self._history.state_dict(),
        }
        return saved_state.wrap(state, self.options.description)

    def load_state_dict(self, state: Any) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Load a state returned by `state_dict`; as `load`."""
        state = saved_state.unwrap(state, self.options.description)
        bandit = Bandit(**{name: value.copy() for name, value in state["bandit"].items()})
        scores = Scores(bandit, self.budget)
        scores.load_state_dict(state["scores"])
        history = BanditHistory.from_state(state["history"])
        self.np_random.bit_generator.state = state["random"]
        return self._begin(bandit, scores, history)

    def _begin(
        self, bandit: Bandit, scores: Scores, history: BanditHistory
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Continue from these; return the observation and the info."""
        self._bandit, self._scores, self._history = bandit, scores, history
        self.oracle, self.max_p = bandit.oracle, bandit.max_p
        self.learning_increment = bandit.learning_increment
        self.forget_increment = bandit.forget_increment
        start = {"oracle": bandit.oracle.copy()} if scores.step == 0 else {}
        return scores.observe(), {**scores.values(), **start}
