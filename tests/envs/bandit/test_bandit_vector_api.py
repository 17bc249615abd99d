"""What the vector form takes and refuses."""

from typing import Any

import gymnasium as gym
import jaxtyping
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

import mtlgym  # noqa: F401  # registers the id
from mtlgym.envs.bandit import BanditVectorEnv
from tests.envs.bandit.pulls import assert_same


def test_make_vec_makes_the_vector_form_with_its_options():
    env = gym.make_vec("MTL-Bandit-v0", num_envs=3, arms=5, autoreset_mode="SameStep")
    assert isinstance(env, BanditVectorEnv)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert BanditVectorEnv.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert env.action_space == batch_space(env.single_action_space, 3)
    assert env.observation_space == batch_space(env.single_observation_space, 3)
    assert env.reset(seed=0)[0] in env.observation_space
    assert env.step(env.action_space.sample())[0] in env.observation_space
    env.close()
    env.close()
    loop = gym.make_vec("MTL-Bandit-v0", num_envs=2, vectorization_mode="sync", steps=3)
    assert loop.reset(seed=0)[0].shape == (2, 17)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"num_envs": 0}, "`num_envs`.*at least 1"),
    ({"autoreset_mode": "Next"}, r"`autoreset_mode` must be one of \['NextStep'.*'Next'"),
    ({"render_mode": "ansi"}, "`render_mode`.*'ansi'"),
    ({"num_envs": 3, "arms": 2, "oracle": [[0.5, 0.5]] * 2}, "`oracle`.*3 environments, not 2"),
    ({"step": 3}, "unknown option 'step'. Did you mean 'steps'"),
    ({"arms": 2**24}, "`arms` must be at most 65536"),
    ({"steps": 10**400}, "`steps` must be at most"),
    ({"oracle": 10**400}, "`oracle` must be 8 numbers"),
    ({"oracle": [10**400] * 8}, "`oracle` must be 8 numbers"),
    ({"reward": np.zeros(2)}, "unknown reward array.*Known: improvement, prediction_gain"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_an_option_that_is_not_allowed_is_named(options, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as where mtlgym is used
    with pytest.raises(ValueError, match=message):
        BanditVectorEnv(**options)


BAD_RESETS: list[tuple[dict[str, Any], str]] = [
    ({"seed": [1, 2]}, "`seed` must be one seed or 3 of them, not 2"),
    ({"seed": 0.5}, "`seed` must be one seed or 3 of them, not 0.5"),
    ({"seed": {}}, "`seed` must be one seed or 3 of them, not {}"),
    ({"seed": "012"}, "`seed` must be 3 integers or None, not '012'"),
    ({"seed": np.ones(3)}, "`seed` must be 3 integers or None"),
    ({"options": {"reset_mask": [[True], [True, True], True]}}, "`reset_mask` must be 3 booleans"),
    ({"options": {"reset_mask": np.zeros(3, bool)}}, "`reset_mask` must be 3 booleans"),
    ({"options": {"reset_mask": np.ones(2, bool)}}, "`reset_mask` must be 3 booleans"),
    ({"options": {"reset_mask": np.ones(3)}}, "`reset_mask` must be 3 booleans"),
]


@pytest.mark.parametrize(
    "bad",
    [
        [0, 1],
        [0, 1, 8],
        [0, -1, 2],
        [0.0, 1.0, 2.0],
        [True, False, True],
        [[0, 1, 2]],
        0,
        [[0], [1, 2], [0]],
        torch.zeros(3, requires_grad=True),
    ],
)
def test_actions_and_resets_that_are_not_allowed_change_nothing(bad):
    env, other = (BanditVectorEnv(3) for _ in range(2))
    with pytest.raises(gym.error.ResetNeeded):
        env.step([0, 1, 2])
    with pytest.raises(gym.error.ResetNeeded):
        env.reset(options={"reset_mask": np.array([True, True, False])})
    assert_same(env.reset(seed=0), other.reset(seed=0))
    with pytest.raises(ValueError, match=r"`actions` must be 3 integers in \[0, 8\)"):
        env.step(bad)
    for arguments, message in BAD_RESETS:
        with pytest.raises(ValueError, match=message):
            env.reset(**arguments)
    with pytest.raises(gym.error.Error):
        env.reset(seed=[4, 5, -1])
    assert_same(env.step([0, 1, 2]), other.step(np.array([0, 1, 2], np.uint8)))


@pytest.mark.parametrize("seed", [np.int64(3), np.uint8(3), np.array(3), np.array([3, 4, 5])])
def test_seeds_may_be_integers_of_numpy(seed):
    env, other = (BanditVectorEnv(3) for _ in range(2))
    assert_same(env.reset(seed=seed), other.reset(seed=[3, np.int64(4), 5]))
    assert env.np_random_seed == (3, 4, 5)
