"""The routing environment: an episode is one sample's route through a network in training."""

import os
from typing import Any

import gymnasium as gym
from gymnasium import spaces

from mtlgym import checks
from mtlgym.envs.routing import evaluation
from mtlgym.envs.routing.evaluation import Evaluation, Policy
from mtlgym.envs.routing.minibatch import Minibatch
from mtlgym.envs.routing.options import configure
from mtlgym.envs.routing.render import draw_picture, format_table
from mtlgym.envs.routing.router import Router
from mtlgym.io import checkpoint
from mtlgym.problems.images import ImageProblem

Observation = dict[str, Any]


class RoutingEnv(gym.Env[Observation, Any]):
    """Choose the function block that a sample goes through next, layer by layer.

    A state is (v, t, d): the representation v, which is the trunk's output for the image and then
    the output of the last block chosen, the task t and the depth d. After the last depth the sample
    is classified, and the episode has terminated. The last reward is +1 or -1 for a right or wrong
    class (or minus the loss); with `rho` every action is also rewarded with rho times its share in
    the last decisions of the sample's task at that depth.

    After every `batch_size` episodes the blocks on their routes, and the trunk, are trained by one
    gradient step on the mean loss. The minibatch is drawn before its first episode and passed
    through the trunk as a whole, so that batch norm works as in training, and the same actions
    train the same network as in `RoutingVectorEnv`. The network lives as long as the environment:
    only `reset(seed=...)` starts a fresh one; `reset()` goes to the next sample, or back to the
    start of an unfinished route. The attribute `is_open` is True until the schedule's epochs are
    over; training may continue after them.

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
            problem: a key of `IMAGE_PROBLEMS`, or an `ImageProblem`.
            render_mode: `rgb_array`, `ansi` or None.
            **options: fields of `RoutingOptions` (network and reward), of `TrainerOptions` and
                `Hardware` (training) and arguments of the problem's builder, side by side.

        Raises:
            ValueError: for an unknown option or a value that is not allowed; names what is allowed.
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
        self._minibatch = Minibatch(configuration, rows=1)
        self.problem = configuration.problem
        self.action_space = spaces.Discrete(self.router.shape.actions)
        self.observation_space = self.router.observation_space

    @property
    def router(self) -> Router:
        """The network in training, and the latest decisions of each task."""
        return self._minibatch.router

    @property
    def budget(self) -> int:
        """Number of steps in the schedule's epochs."""
        size = self.router.configuration.trainer_options.batch_size
        return self.router.budget * size * self.router.shape.depth

    @property
    def is_open(self) -> bool:
        """Whether there is a network whose schedule has not ended, and whose training is sound."""
        return self._minibatch.is_open

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Go to the next sample; with a seed, of a fresh network. `options` has no effect."""
        super().reset(seed=seed)
        if seed is not None or not self._minibatch.has_network:
            self._minibatch.restart(int(self.np_random.integers(2**63)))
        else:
            self._minibatch.begin()
        return self._observe(), self._info()

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Send the sample through the block that the action names.

        Raises:
            ValueError: for an action that is not allowed; nothing has changed then.
            gymnasium.error.ResetNeeded: before `reset`, and after the episode's end.
        """
        chosen = checks.choice("action", action, self.router.shape.actions)
        rewards, results = self._minibatch.step([chosen])
        reward, info = float(rewards[0]), self._info()
        if results is not None:
            info |= {key: each.item() for key, each in results.items()}
        return self._observe(), reward, results is not None, False, info

    def evaluate(self, split: str = "val", policy: Policy | None = None) -> dict[str, float]:
        """`{"task/accuracy": ...}` on a split, each in [0, 1]; changes nothing.

        Args:
            split: `train`, `val` or `test`.
            policy: function `(observation, info) -> actions` of the observation of many samples,
                whose actions are (samples,), such as an agent's `greedy`; without one, each task
                takes its most frequent action in the latest decisions.

        Raises:
            ValueError: for another split, a policy that is not callable, or actions that are not
                allowed.
            gymnasium.error.ResetNeeded: before `reset`.
        """
        return evaluation.accuracies(self.problem, self.evaluate_routes(split, policy))

    def evaluate_routes(self, split: str = "val", policy: Policy | None = None) -> Evaluation:
        """The route and the result of every sample of a split; arguments as for `evaluate`."""
        return evaluation.evaluate_routes(self._minibatch.require_network(), split, policy)

    def render(self) -> Any:
        """The latest decisions of each task: a picture (height, width, 3), or a table as text."""
        if self.render_mode is None:
            return None
        draw = draw_picture if self.render_mode == "rgb_array" else format_table
        return draw(self._minibatch.require_network().history.counts, self.problem.tasks)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state of network, training and current routes to one file.

        Raises:
            OSError: if the file cannot be written; an older one at that path is untouched.
            gymnasium.error.ResetNeeded: before `reset`.
        """
        checkpoint.save(path, self.state_dict())

    def load(self, path: str | os.PathLike[str]) -> tuple[Observation, dict[str, Any]]:
        """Load a saved state; return the observation and info at the time of saving.

        Training then continues bit-identically (on a CPU, with the same builds and number of
        threads). The wrapper of `gym.make` requires a call of `reset` before the next step.

        Raises:
            ValueError: if the file is damaged, or of another version or of an environment of other
                options; names them. Nothing has changed then.
        """
        return self.load_state_dict(checkpoint.load(path))

    def state_dict(self) -> dict[str, Any]:
        """The state that `save` writes: nested plain values, tensors and arrays."""
        return self._minibatch.state_dict(self.np_random)

    def load_state_dict(self, state: Any) -> tuple[Observation, dict[str, Any]]:
        """Load a state returned by `state_dict`; as `load`."""
        self._minibatch.load_state_dict(state, self.np_random)
        return self._observe(), self._info()

    def _observe(self) -> Observation:
        return {key: each[0].copy() for key, each in self._minibatch.observation.items()}

    def _info(self) -> dict[str, Any]:
        info = self._minibatch.info()
        if "action_mask" in info:
            info["action_mask"] = info["action_mask"][0]
        return info
