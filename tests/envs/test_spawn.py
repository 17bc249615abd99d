"""In processes of their own, environments do what they do here; and so do their copies."""

import copy
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from tests.envs.environment_set import makers, plain
from tests.envs.hostile import small, small_vector, smallest
from tests.envs.test_ids import IDS, ROUTING

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("MTL-Bandit-v0", {}),
    ("MTL-Emoji-Routing-v0", smallest("MTL-Emoji-Routing-v0")),
    ("MTL-Emoji-v0", smallest("MTL-Emoji-v0", aggregator="mgda")),
    ("MTL-Emoji-v0", smallest("MTL-Emoji-v0", interface="tasks")),
]


def played(env, steps=4):
    """What a vector of environments, Stable-Baselines3's or Gymnasium's, gives; it is closed."""
    baselines = isinstance(env, VecEnv)
    try:
        if baselines:
            env.seed(3)
            found = [env.reset()]
        else:
            found = [env.reset(seed=3)]
        env.action_space.seed(0)
        for _ in range(steps):
            if baselines:
                seen, rewards, *rest = env.step([env.action_space.sample() for _ in range(2)])
                found.append([seen, rewards.astype(np.float32), *rest])  # `DummyVecEnv`'s type
            else:
                found.append(env.step(env.action_space.sample()))
        return repr(plain(found))
    finally:
        env.close()


def test_in_processes_of_stable_baselines3_every_kind_does_as_here():
    given = makers(KINDS)
    there = played(SubprocVecEnv(given, start_method="spawn"))
    assert "text" in there
    assert there == played(DummyVecEnv(given))


def test_in_processes_of_gymnasium_every_kind_does_as_here():
    given = makers(KINDS)
    there = played(AsyncVectorEnv(given, context="spawn"))
    assert "text" in there
    assert there == played(SyncVectorEnv(given))


class Maker:
    """Makes an environment by its id alone, in a process that has imported nothing yet."""

    def __init__(self, id):
        self.id, self.options = id, smallest(id)

    def __call__(self):
        torch.set_num_threads(1)  # as here, so that sums are rounded alike
        return gym.make(f"mtlgym:{self.id}", **self.options)


@pytest.mark.slow
@pytest.mark.parametrize("id", IDS)
def test_in_processes_of_both_libraries_every_id_does_as_here(id):
    given: list[Any] = [Maker(id), Maker(id)]
    assert played(AsyncVectorEnv(given, context="spawn")) == played(SyncVectorEnv(given))
    there = played(SubprocVecEnv(given, start_method="spawn"))
    assert there == played(DummyVecEnv(given))


def begun(id, vector=False, steps=2):
    env = small_vector(id) if vector else small(id)
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(steps):
        env.step(env.action_space.sample())
    return env


def go_on(env, steps=3):
    found = []
    for _ in range(steps):
        try:
            found.append(env.step(env.action_space.sample()))
        except gym.error.ResetNeeded:
            found.append(env.reset())
    return repr(plain(found))


ALIKE = ["MTL-Bandit-v0", ROUTING[0], "MTL-Emoji-v0", "MTL-QM9-Mini-v0", "MTL-Rooms-v0"]
ALIKE += ["MTL-TextMix-v0"]  # one of each problem
COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda env: pickle.loads(pickle.dumps(env)),
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("id", ALIKE)
def test_a_copy_before_the_first_reset_is_an_environment_of_its_own(id, how):
    env = small(id)
    other = COPIES[how](env)
    assert repr(plain(other.reset(seed=0))) == repr(plain(env.reset(seed=0)))
    action = env.action_space.sample()
    assert repr(plain(other.step(action))) == repr(plain(env.step(action)))


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("id", ["MTL-Bandit-v0", ROUTING[0]])
def test_a_copy_in_an_episode_goes_on_as_the_first(id, how):
    env, spared = begun(id), begun(id)
    other = COPIES[how](env)
    expected = go_on(spared)
    assert go_on(other) == expected
    assert go_on(env) == expected  # the copy took nothing from it


def attempted(copied, env):
    """What the copy does next, or why there is none."""
    try:
        return go_on(copied(env))
    except (RuntimeError, AttributeError, TypeError, pickle.PicklingError) as error:
        return error


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("id", ["MTL-Emoji-v0", "MTL-TextMix-v0"])
def test_a_copy_of_an_open_training_goes_on_as_the_first_or_not_at_all(id, how):
    env, spared = begun(id), begun(id)
    found, expected = attempted(COPIES[how], env), go_on(spared)
    assert isinstance(found, Exception) or found == expected
    assert go_on(env) == expected  # whatever came of the copy


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("id", ["MTL-Bandit-v0", ROUTING[0]])
def test_a_copy_of_many_rows_goes_on_as_the_first(id, how):
    env = begun(id, vector=True)
    assert go_on(COPIES[how](env)) == go_on(env)
    assert np.isfinite(env.step(env.action_space.sample())[1]).all()
