"""Several environments as one, so that one set of worker processes serves all of them."""

from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces


def plain(value):
    """Nested values with arrays as lists, so that `repr` tells any difference, NaN included."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, np.ndarray | torch.Tensor):
        return [str(value.dtype), tuple(value.shape), value.tolist()]
    return value


class EnvironmentSet(gym.Env):
    """Steps its members together; observations are flattened, and infos written as text."""

    def __init__(self, kinds):
        torch.set_num_threads(1)  # as in tests, so that sums are rounded alike
        self.members = [gym.make(f"mtlgym:{id}", **each).unwrapped for id, each in kinds]
        self._observed = [env.observation_space for env in self.members]
        self._acted = spaces.Tuple([env.action_space for env in self.members])
        size = sum(spaces.flatdim(space) for space in self._observed)
        self.observation_space = spaces.Box(-np.inf, np.inf, (size,), np.float64)
        self.action_space = spaces.Box(0, 1, (spaces.flatdim(self._acted),), np.float64)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        results = [env.reset(seed=seed) for env in self.members]
        return self._flat(results), {"text": repr(plain(results))}

    def step(self, action):
        """The action is the seed of the members' actions."""
        self._acted.seed(int(action[0] * 2**31))
        results: list[Any] = []
        for env, each in zip(self.members, self._acted.sample(), strict=True):
            try:
                results.append(env.step(each))
            except gym.error.ResetNeeded:
                results.append(env.reset())
        reward = sum(float(each[1]) for each in results if len(each) == 5)
        return self._flat(results), reward, False, False, {"text": repr(plain(results))}

    def _flat(self, results):
        pairs = zip(self._observed, results, strict=True)
        flat = [np.asarray(spaces.flatten(space, each[0]), float) for space, each in pairs]
        return np.concatenate(flat)


def makers(kinds):
    """Functions that make two such sets, in any process, by ids and options."""
    return [partial(EnvironmentSet, kinds), partial(EnvironmentSet, kinds)]
