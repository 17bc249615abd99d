"""Gymnasium's vector environments in the interface of Stable-Baselines3."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import base_vec_env as sb3

from mtlgym import checks


class SB3VecEnv(sb3.VecEnv):  # inherits as it must: nothing else is accepted
    """A vector environment whose rows Stable-Baselines3 trains on without a loop over them.

    Observations, rewards (float32), ends and seeds are those of Stable-Baselines3's `DummyVecEnv`
    of as many single environments.

    Differs from `DummyVecEnv` in that a row's info holds `TimeLimit.truncated` alone unless its
    episode ends; then it holds all, with `terminal_observation`, and `episode` where Gymnasium's
    `RecordEpisodeStatistics` gives it. What is left out is in the attribute `infos`, as arrays.
    Rows have no attributes, methods or wrappers of their own: the vector environment's answer for
    all of them. `HerReplayBuffer`, which asks one row for rewards, does not work with that.

    Attributes:
        env: the vector environment.
        infos: infos of the last step or reset, a dictionary of arrays (num_envs, ...) with masks.
        reset_infos: infos of the last reset of each row, a dictionary a row.
        render_mode: the vector environment's.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        """Wrap an environment, which is then stepped, reset and closed only here.

        Args:
            env: a vector environment with `AutoresetMode.SAME_STEP`.

        Raises:
            ValueError: for another mode; its message shows how to get this one.
        """
        mode = env.metadata.get("autoreset_mode")
        if mode is not AutoresetMode.SAME_STEP:
            raise ValueError(
                f"`env` must be a vector environment with AutoresetMode.SAME_STEP, not {env} with "
                f"{mode}: gym.make_vec(..., autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP"
                ") makes one where the environment has a vector form with that mode, and "
                'gym.make_vec(..., vectorization_mode="sync", vector_kwargs={"autoreset_mode": ...}'
                ") any other"
            )
        self.env = env
        self.infos: dict[str, Any] = {}
        self._layers: list[Any] = [env]  # from the outermost wrapper to the environment itself
        while self._layers[-1] is not env.unwrapped:
            self._layers.append(self._layers[-1].env)
        self._actions: Any = None
        self._closed = False
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed row i with seed + i at the next reset; None draws a seed from fresh entropy.

        Raises:
            ValueError: for a negative seed.
        """
        if seed is None:  # the base class would draw it from NumPy's global generator
            seed = int(np.random.default_rng().integers(2**32))
        checks.integer("seed", seed, least=0)
        return super().seed(int(seed))

    def set_options(self, options: list[dict] | dict | None = None) -> None:
        """Hand these options to the next reset.

        Raises:
            ValueError: for a list of options, one a row.
        """
        if isinstance(options, list):
            raise ValueError(f"`options` must be one dictionary for all rows, not {options!r}")
        super().set_options(options)

    def reset(self) -> sb3.VecEnvObs:
        """Start all episodes anew; seeds and options count for one reset."""
        observations, self.infos = self.env.reset(
            seed=self._seeds[0], options=self._options[0] or None
        )
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = split(self.infos, np.arange(self.num_envs), self.num_envs)
        return deepcopy(observations)  # the environment may write the next ones over them

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions, (num_envs, ...), for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> sb3.VecEnvStepReturn:
        """Step all rows; where an episode ends, the observation is the next one's first."""
        observations, rewards, terminated, truncated, self.infos = self.env.step(self._actions)
        dones = np.logical_or(terminated, truncated)
        cut = np.logical_and(truncated, np.logical_not(terminated))
        infos: list[dict[str, Any]] = [{"TimeLimit.truncated": each} for each in cut.tolist()]
        if dones.any():
            self._end(np.flatnonzero(dones), infos)
        return deepcopy(observations), np.array(rewards, np.float32), dones, infos

    def close(self) -> None:
        """Close the vector environment; a second time does nothing."""
        if not self._closed:
            self._closed = True
            self.env.close()

    def get_images(self) -> Sequence[NDArray[Any] | None]:
        """What the vector environment renders, a picture a row; None where it renders nothing."""
        return [None] * self.num_envs if self.render_mode is None else list(self.env.render())

    def get_attr(self, attr_name: str, indices: sb3.VecEnvIndices = None) -> list[Any]:
        """Each row's part of an array (num_envs, ...), else the same value for each.

        Raises:
            AttributeError: if neither the vector environment nor what it wraps has it.
        """
        value = getattr(self._holder(attr_name), attr_name)
        return cells(value, self._chosen(indices), self.num_envs)

    def set_attr(self, attr_name: str, value: Any, indices: sb3.VecEnvIndices = None) -> None:
        """Set an attribute that the vector environment has, for all rows together.

        Raises:
            AttributeError: if neither the vector environment nor what it wraps has it.
            NotImplementedError: for some rows alone.
        """
        self._require_all(attr_name, indices)
        setattr(self._holder(attr_name), attr_name, value)

    def env_method(
        self, method_name: str, *args: Any, indices: sb3.VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Call a method of the vector environment once; the result is split as by `get_attr`.

        Raises:
            AttributeError: if neither the vector environment nor what it wraps has it.
            NotImplementedError: for some rows alone.
        """
        rows = self._require_all(method_name, indices)
        result = getattr(self._holder(method_name), method_name)(*args, **kwargs)
        return cells(result, rows, self.num_envs)

    def env_is_wrapped(self, wrapper_class: type, indices: sb3.VecEnvIndices = None) -> list[bool]:
        """Whether the vector environment is wrapped in this class; the same for each row."""
        wrapped = any(isinstance(layer, wrapper_class) for layer in self._layers[:-1])
        return [wrapped] * len(self._chosen(indices))

    def _end(self, ended: NDArray[np.intp], infos: list[dict[str, Any]]) -> None:
        """Put the final observations and infos of these rows in their infos."""
        for row, begun in zip(ended, split(self.infos, ended, self.num_envs), strict=True):
            last = begun.pop("final_info", {}) | infos[row]
            last["terminal_observation"] = begun.pop("final_obs")
            if "episode" in begun:  # RecordEpisodeStatistics counts beside the next one's infos
                last["episode"] = begun.pop("episode")
            infos[row], self.reset_infos[row] = last, begun

    def _chosen(self, indices: sb3.VecEnvIndices) -> NDArray[np.intp]:
        return np.arange(self.num_envs)[np.array(list(self._get_indices(indices)), np.intp)]

    def _require_all(self, name: str, indices: sb3.VecEnvIndices) -> NDArray[np.intp]:
        rows = self._chosen(indices)
        if rows.tolist() != list(range(self.num_envs)):
            raise NotImplementedError(
                f"{name!r} is the vector environment's, for all {self.num_envs} rows together: "
                f"`indices` must be None, not {indices!r}"
            )
        return rows

    def _holder(self, name: str) -> Any:
        for layer in self._layers:
            if hasattr(layer, name):
                return layer
        raise AttributeError(f"{self.env} has no attribute {name!r}, and its rows have none at all")


def split(infos: dict[str, Any], rows: NDArray[np.intp], count: int) -> list[dict[str, Any]]:
    """A dictionary for each of these rows out of the infos of a vector environment of `count`."""
    found: list[dict[str, Any]] = [{} for _ in rows]
    for key, value in infos.items():
        if key.startswith("_") and key[1:] in infos:
            continue  # the mask of another key
        mask = infos.get(f"_{key}", np.ones(count, np.bool_))[rows].tolist()
        of_rows = split if isinstance(value, dict) else cells
        for info, cell, there in zip(found, of_rows(value, rows, count), mask, strict=True):
            if there:
                info[key] = cell
    return found


def cells(value: Any, rows: NDArray[np.intp], count: int) -> list[Any]:
    """These rows' parts of an array (count, ...), numbers as Python's, or one value for each."""
    if not isinstance(value, np.ndarray) or value.shape[:1] != (count,):
        return [value] * len(rows)
    return value[rows].tolist() if value.ndim == 1 else list(value[rows])
