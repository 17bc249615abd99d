"""An episode is one sample's route through the blocks of a network in training."""

import os
from typing import Any

import gymnasium as gym
from gymnasium import spaces

from mtlgym import checks
from mtlgym.envs.routing import evaluation
from mtlgym.envs.routing.evaluation import Examination, Policy
from mtlgym.envs.routing.minibatch import Course
from mtlgym.envs.routing.options import configure
from mtlgym.envs.routing.render import draw_picture, format_table
from mtlgym.envs.routing.router import Router
from mtlgym.io import checkpoint
from mtlgym.problems.images import ImageProblem

Observation = dict[str, Any]


class RoutingEnv(gym.Env[Observation, Any]):
    """Choose the function block that a sample goes through next, layer by layer.

    A state is (v, t, d): the representation v, which what the trunk makes of the image starts and
    every block chosen replaces, the task t and the depth d. After the last depth the sample is
    classified, and the episode has terminated. Its last reward is +1 or -1 for a right or wrong
    class (or minus the loss); with `rho` every action is also paid rho times its share in the last
    decisions of the sample's task at that depth.

    Every `batch_size` episodes the blocks on their routes, and the trunk, are trained by one
    gradient step on the mean loss. The minibatch is drawn before its first episode and the trunk
    sees it as a whole, so batch norm is as in training, and actions equal to those of
    `RoutingVectorEnv` train the same network. The network lives as long as the environment:
    `reset(seed=...)` alone starts it afresh, `reset()` goes to the next sample, or back to the
    start of an unfinished route. The attribute `is_open` says whether the schedule's epochs are
    still to be trained; training can go on after them.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), https://arxiv.org/abs/1711.01239, Figures 1, 2.
    Differs from it in that blocks are trained a minibatch at a time, and the values of the last
    observation are class scores, at the last depth.
    """

    metadata = {"render_modes": ["rgb_array", "ansi"], "render_fps": 4}  # noqa: RUF012

    def __init__(
        self, problem: str | ImageProblem, *, render_mode: str | None = None, **options: Any
    ) -> None:
        """Make the environment; `reset` builds the network.

        Args:
            problem: a key of `IMAGE_PROBLEMS`, or a problem of one's own.
            render_mode: `rgb_array`, `ansi` or None.
            **options: fields of `RoutingOptions` (network and reward), of `Regime` and `Hardware`
                (training) and arguments of the problem's builder, side by side.

        Raises:
            ValueError: for an unknown option or a value that is not allowed; says what is.
        """
        modes = self.metadata["render_modes"]
        if not (render_mode is None or (isinstance(render_mode, str) and render_mode in modes)):
            raise ValueError(f"`render_mode` must be None or one of {modes}, not {render_mode!r}")
        self.render_mode = render_mode
        configuration = configure(problem, options)
        if configuration.hardware.distributed:
            raise ValueError(
                "`distributed` must be False for the single form, whose samples come one by one: "
                "processes share a minibatch of the vector form"
            )
        self._course = Course(configuration, rows=1)
        self.problem = configuration.problem
        self.action_space = spaces.Discrete(self.router.shape.actions)
        self.observation_space = self.router.observation_space

    @property
    def router(self) -> Router:
        """The network in training, and what the tasks chose of late."""
        return self._course.router

    @property
    def budget(self) -> int:
        """Steps of the environment in the schedule's epochs."""
        size = self.router.configuration.regime.batch_size
        return self.router.budget * size * self.router.shape.depth

    @property
    def is_open(self) -> bool:
        """Whether there is a network whose schedule has not ended, and whose training is sound."""
        return self._course.is_open

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start afresh with a seed, else go to the next sample; `options` has no effect."""
        super().reset(seed=seed)
        if seed is not None or not self._course.has_network:
            self._course.restart(int(self.np_random.integers(2**63)))
        else:
            self._course.begin()
        return self._observe(), self._info()

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Send the sample through the block.

        Raises:
            ValueError: for an action that is not allowed; nothing has changed then.
            gymnasium.error.ResetNeeded: before `reset`, and after the episode's end.
        """
        chosen = checks.choice("action", action, self.router.shape.actions)
        rewards, verdict = self._course.step([chosen])
        reward, info = float(rewards[0]), self._info()
        if verdict is not None:
            info |= {key: each.item() for key, each in verdict.values().items()}
        return self._observe(), reward, verdict is not None, False, info

    def evaluate(self, split: str = "val", policy: Policy | None = None) -> dict[str, float]:
        """`{"task/accuracy": ...}` on a split, each in [0, 1]; changes nothing.

        Args:
            split: `train`, `val` or `test`.
            policy: what routes: `(observation, info) -> (samples,)` actions for the observation of
                many samples, such as an agent's `greedy`; without one, each task takes what it
                took most of late.

        Raises:
            ValueError: for another split, a policy that is none, or actions that are not allowed.
            gymnasium.error.ResetNeeded: before `reset`.
        """
        return evaluation.accuracies(self.problem, self.examine(split, policy))

    def examine(self, split: str = "val", policy: Policy | None = None) -> Examination:
        """Every sample's route on a split, and what came of it; as `evaluate`."""
        return evaluation.examine(self._course.require_network(), split, policy)

    def render(self) -> Any:
        """What the tasks chose of late: a picture (height, width, 3), or a table as text."""
        if self.render_mode is None:
            return None
        draw = draw_picture if self.render_mode == "rgb_array" else format_table
        return draw(self._course.require_network().history.counts, self.problem.tasks)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write network, training and the minibatch's routes to one file.

        Raises:
            OSError: if the file cannot be written; an older one at that path is untouched.
            gymnasium.error.ResetNeeded: before `reset`.
        """
        checkpoint.save(path, self.state_dict())

    def load(self, path: str | os.PathLike[str]) -> tuple[Observation, dict[str, Any]]:
        """Continue what was saved, bit for bit (on a CPU, with the same builds and threads).

        Gives the observation and info that it stood at. The wrapper of `gym.make` wants a `reset`
        before it.

        Raises:
            ValueError: if the file is damaged, or of another version or of an environment of other
                options; names them. Nothing has changed then.
        """
        return self.load_state_dict(checkpoint.load(path))

    def state_dict(self) -> dict[str, Any]:
        """What `save` writes: nested plain values, tensors and arrays."""
        return self._course.state_dict(self.np_random)

    def load_state_dict(self, state: Any) -> tuple[Observation, dict[str, Any]]:
        """Continue from a `state_dict`; as `load`."""
        self._course = self._course.continued(state, self.np_random)
        return self._observe(), self._info()

    def _observe(self) -> Observation:
        return {key: each[0].copy() for key, each in self._course.observation.items()}

    def _info(self) -> dict[str, Any]:
        info = self._course.info()
        if "action_mask" in info:
            info["action_mask"] = info["action_mask"][0]
        return info
