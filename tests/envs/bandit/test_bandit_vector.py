"""Bandits as arrays, against one bandit and against Gymnasium's loop over many."""

from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from mtlgym.envs.bandit import BanditEnv, BanditVectorEnv
from tests.envs.bandit.pulls import assert_same, same

MODES = [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP]
PARAMETERS = ("oracle", "max_p", "learning_increment", "forget_increment")
OPTIONS = [
    {"steps": 30},
    {"steps": 30, "arms": 1, "forget": (0.2, 0.9)},
    {"steps": 17, "arms": 23, "reward": "improvement", "forget": (0.0, 0.5)},
]


def sync(rows, mode=AutoresetMode.NEXT_STEP, **options):
    return SyncVectorEnv([partial(BanditEnv, **options)] * rows, autoreset_mode=mode)


def actions(env, steps, seed=0):
    arms = int(env.single_action_space.n)
    return np.random.default_rng(seed).integers(arms, size=(steps, env.num_envs))


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("options", OPTIONS)
def test_row_i_is_the_single_bandit_of_seed_s_plus_i(options, rows):
    vector = BanditVectorEnv(rows, **options)
    singles = [BanditEnv(**options) for _ in range(rows)]
    observations, infos = vector.reset(seed=7)
    for row, single in enumerate(singles):
        observation, _ = single.reset(seed=7 + row)
        np.testing.assert_array_equal(observations[row], observation)
        for name in PARAMETERS:
            np.testing.assert_array_equal(getattr(vector, name)[row], getattr(single, name))
    for action in actions(vector, vector.budget):
        observations, rewards, _, truncated, infos = vector.step(action)
        for row, single in enumerate(singles):
            info = {key: infos[key][row] for key in infos if not key.startswith("_")}
            found = observations[row], rewards[row], False, truncated[row], info
            assert same(found, single.step(action[row]))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("options", OPTIONS)
def test_everything_is_as_from_gymnasiums_vector_of_single_bandits(options, mode):
    ours, theirs = BanditVectorEnv(4, autoreset_mode=mode, **options), sync(4, mode, **options)
    assert_same(ours.reset(seed=3), theirs.reset(seed=3))
    assert ours.np_random_seed == theirs.np_random_seed
    for action in actions(ours, 4 * ours.budget):
        assert_same(ours.step(action), theirs.step(action))
    assert_same(ours.reset(), theirs.reset())
    assert_same(ours.reset(seed=[5, None, 1, None]), theirs.reset(seed=[5, None, 1, None]))
    assert_same(ours.step(action), theirs.step(action))


def reset_both(one, two, rows, seed=None):
    """Reset these rows; Gymnasium takes the mask out of its options, so each gets its own."""
    found, expected = (
        each.reset(seed=seed, options={"reset_mask": np.array(rows)}) for each in (one, two)
    )
    assert_same(found, expected)


@pytest.mark.parametrize("mode", [*MODES, AutoresetMode.DISABLED])
def test_some_rows_can_be_reset_at_any_time(mode):
    ours, theirs = BanditVectorEnv(3, steps=9, autoreset_mode=mode), sync(3, mode, steps=9)
    assert_same(ours.reset(seed=3), theirs.reset(seed=3))
    ends = set()
    for step, action in enumerate(actions(ours, 60)):
        if step % 4 == 3 and step < 40:
            reset_both(
                ours, theirs, np.arange(3) == step // 4 % 3, [None, 90 + step][step % 8 // 4]
            )
        found = ours.step(action)
        assert_same(found, theirs.step(action))
        ends.add(tuple(found[3].tolist()))
        if mode is AutoresetMode.DISABLED and found[3].any():
            reset_both(ours, theirs, found[3])
    assert len(ends) > 2  # some rows without the others


def test_an_episode_that_is_over_must_be_reset_if_nothing_else_does_it():
    env = BanditVectorEnv(3, steps=2, autoreset_mode="Disabled")
    env.reset(seed=0)
    env.step([0, 1, 2])
    env.reset(options={"reset_mask": np.array([True, False, False])})
    assert env.step([0, 1, 2])[3].tolist() == [False, True, True]
    with pytest.raises(gym.error.ResetNeeded, match=r"rows \[1, 2\]"):
        env.step([0, 1, 2])
    env.reset(options={"reset_mask": np.array([False, True, True])})
    assert env.step([0, 1, 2])[3].tolist() == [True, False, False]


def test_oracles_can_be_given_to_all_rows_or_to_each():
    oracles = np.random.default_rng(0).dirichlet(np.ones(3), 2)
    each = BanditVectorEnv(2, arms=3, oracle=oracles, steps=5)
    each.reset(seed=4)
    for row in range(2):
        single = BanditEnv(arms=3, oracle=oracles[row], steps=5)
        single.reset(seed=4 + row)
        for name in PARAMETERS:
            np.testing.assert_array_equal(getattr(each, name)[row], getattr(single, name))
    every = BanditVectorEnv(2, arms=3, oracle=[0.2, 0.3, 0.5])
    every.reset()
    np.testing.assert_array_equal(every.oracle, [[0.2, 0.3, 0.5]] * 2)
    assert not np.array_equal(every.max_p[0], every.max_p[1])


@pytest.mark.parametrize("mode", MODES)
def test_what_is_handed_out_and_the_environment_do_not_touch_each_other(mode):
    env = BanditVectorEnv(2, steps=3, autoreset_mode=mode)
    other = BanditVectorEnv(2, steps=3, autoreset_mode=mode)
    first, same_first = env.reset(seed=0), other.reset(seed=0)
    oracle, drawn = env.oracle, env.oracle.copy()
    for action in actions(env, 8):
        found: Any = env.step(action)
        assert_same(found, other.step(action))
        for array in (*found[:4], *(v for v in found[4].values() if isinstance(v, np.ndarray))):
            array[:] = 1
    env.reset(seed=5)
    assert_same(first, same_first)
    np.testing.assert_array_equal(oracle, drawn)
    with pytest.raises(ValueError, match="read-only"):
        env.oracle[0] = 1
