"""The vector form of routing: a minibatch of samples, routed all at once."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.envs import vector_api
from mtlgym.envs.leader import join_group
from mtlgym.envs.routing import evaluation
from mtlgym.envs.routing.evaluation import Evaluation, Policy
from mtlgym.envs.routing.minibatch import Minibatch
from mtlgym.envs.routing.options import configure
from mtlgym.envs.routing.router import Router
from mtlgym.io import checkpoint
from mtlgym.problems.images import ImageProblem

Observation = dict[str, NDArray[Any]]
Step = tuple[Observation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


class RoutingVectorEnv(VectorEnv[Observation, Any, NDArray[Any]]):
    """Route a minibatch at once: a row is one sample's episode, and each block used is called once.

    All rows are at the same depth. `num_envs` is the minibatch's size; after the last depth the
    samples are classified, the rewards paid and the blocks on the routes trained, once. The
    network lives as long as the environment: only `reset(seed=...)` starts a fresh one; `reset()`
    starts the routes of an unfinished minibatch again, or the next minibatch. Depending on
    `autoreset_mode` the next minibatch starts in the next step (`NEXT_STEP`, the default), in the
    same one (`SAME_STEP`), or by `reset` (`DISABLED`).

    The attribute `is_open` is True until the schedule's epochs are over; training may continue
    after them.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), Algorithms 1 and 2; see `RoutingEnv`.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(
        self,
        problem: str | ImageProblem,
        num_envs: int = 1,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        """Make the environment; `reset` builds the network.

        Args:
            problem: a key of `IMAGE_PROBLEMS`, or an `ImageProblem`.
            num_envs: number of samples in a minibatch.
            autoreset_mode: when the next minibatch starts.
            render_mode: None; the single form draws pictures.
            **options: as for `RoutingEnv`; `batch_size` is `num_envs`.

        Raises:
            ValueError: for an unknown option or a value that is not allowed; names what is allowed.
        """
        checks.integer("num_envs", num_envs, least=1)
        self._mode = vector_api.mode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self._mode}
        if render_mode is not None:
            raise ValueError(f"`render_mode` must be None for the vector form, not {render_mode!r}")
        size = options.get("batch_size", num_envs)
        checks.integer("batch_size", size, least=1)
        if size != num_envs:
            raise ValueError(
                f"`batch_size` of the vector form is `num_envs`, {num_envs}, not {size!r}"
            )
        configuration = configure(problem, {**options, "batch_size": num_envs})
        group = join_group(configuration.hardware, configuration.description)
        self._minibatch = Minibatch(configuration, num_envs, group)
        self.problem = configuration.problem
        self.num_envs = num_envs
        self.single_action_space = spaces.Discrete(self.router.shape.actions)
        self.single_observation_space = self.router.observation_space
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)

    @property
    def router(self) -> Router:
        """The network in training, and the latest decisions of each task."""
        return self._minibatch.router

    @property
    def budget(self) -> int:
        """Number of steps in the schedule's epochs."""
        between = self.router.budget - 1 if self._mode is AutoresetMode.NEXT_STEP else 0
        return self.router.budget * self.router.shape.depth + between

    @property
    def is_open(self) -> bool:
        """Whether there is a network whose schedule has not ended, and whose training is sound."""
        return self._minibatch.is_open

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observation, dict[str, Any]]:
        """Start the next minibatch, or this one's routes again; with a seed, a fresh network.

        Args:
            seed: one integer for the network and the order of the samples.
            options: `reset_mask`, if given, must be True for all rows: a minibatch is trained as a
                whole.

        Raises:
            ValueError: for a list of seeds, or a mask that leaves rows out; nothing has changed
                then.
        """
        if not (seed is None or isinstance(seed, int)):
            raise ValueError(
                f"`seed` must be one integer for the network of all rows, not {seed!r}"
            )
        if not vector_api.reset_mask(options, self.num_envs).all():
            raise ValueError("`reset_mask` must name all rows: they are one minibatch")
        super().reset(seed=seed)
        if seed is not None or not self._minibatch.has_network:
            self._minibatch.restart(int(self.np_random.integers(2**63)))
        else:
            self._minibatch.begin()
        return self._observe(), self._minibatch.info()

    def step(self, actions: Any) -> Step:
        """Send every row through the block that its action names, (num_envs,).

        Raises:
            ValueError: for actions that are not allowed; nothing has changed then.
            gymnasium.error.ResetNeeded: before `reset`; under `DISABLED`, after the last depth.
        """
        minibatch, no = self._minibatch, np.zeros(self.num_envs, np.bool_)
        if minibatch.is_finished and self._mode is AutoresetMode.NEXT_STEP:
            self.router.steps += 1
            minibatch.begin()
            return self._observe(), np.zeros(self.num_envs), no, no.copy(), minibatch.info()
        rewards, results = minibatch.step(actions)
        if results is None:
            return self._observe(), rewards, no, no.copy(), minibatch.info()
        if self._mode is AutoresetMode.SAME_STEP:
            infos = vector_api.final(minibatch.observation, results, ~no)
            minibatch.begin()
        else:
            infos = vector_api.masked(results, ~no)
        return self._observe(), rewards, ~no, no, {**minibatch.info(), **infos}

    def evaluate(self, split: str = "val", policy: Policy | None = None) -> dict[str, float]:
        """The accuracy of each task on a split; changes nothing. See `RoutingEnv.evaluate`."""
        return evaluation.accuracies(self.problem, self.evaluate_routes(split, policy))

    def evaluate_routes(self, split: str = "val", policy: Policy | None = None) -> Evaluation:
        """The route and the result of every sample of a split; see `RoutingEnv.evaluate_routes`."""
        return evaluation.evaluate_routes(self._minibatch.require_network(), split, policy)

    def follow(self) -> None:
        """In a process of a rank above 0: take part until the leader closes its environment.

        Raises:
            RuntimeError: in the leader or in a single process, or if the leader has exited.
        """
        self._minibatch.follow()

    def close_extras(self, **kwargs: Any) -> None:
        """Let the other processes return from `follow`."""
        self._minibatch.close()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state of network, training and current routes to one file.

        Raises:
            OSError: if the file cannot be written; an older one at that path is untouched.
        """
        checkpoint.save(path, self.state_dict())

    def load(self, path: str | os.PathLike[str]) -> tuple[Observation, dict[str, Any]]:
        """Load a saved state; return the observation at the time of saving, and an info.

        Training then continues bit-identically; see `RoutingEnv.load`.

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
        return self._observe(), self._minibatch.info()

    def _observe(self) -> Observation:
        return {key: each.copy() for key, each in self._minibatch.observation.items()}
