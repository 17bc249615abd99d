"""Thousands of resets and steps in one process: memory and the number of objects stay flat."""

import ctypes
import gc
import resource
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from mtlgym.agents import SB3VecEnv
from mtlgym.envs.bandit.env import BanditEnv
from mtlgym.envs.routing import RoutingEnv, RoutingVectorEnv
from tests.envs.routing import toy_images
from tests.envs.training import toy

OBJECTS = 300  # that may be more than after the warm-up
MEMORY = 6 << 20  # bytes, likewise
STATM = Path("/proc/self/statm")
LIBC = ctypes.CDLL(None)


def taken():
    """Bytes of memory, and objects that the garbage collector knows."""
    gc.collect()
    if hasattr(LIBC, "malloc_trim"):
        LIBC.malloc_trim(0)  # what earlier tests freed would hide what is kept
    pages = int(STATM.read_text().split()[1]) if STATM.exists() else 0
    return pages * resource.getpagesize(), len(gc.get_objects())


def growth(act, warm, count):
    """What so many calls take after others to warm up."""
    for k in range(warm):
        act(k)
    before = taken()
    for k in range(warm, warm + count):
        act(k)
    return np.subtract(taken(), before)


def assert_flat(act, warm, count):
    memory, objects = growth(act, warm, count)
    assert objects <= OBJECTS
    assert memory <= MEMORY


def stepping(env):
    """A call that makes a random step, or the reset that is due."""
    env.action_space.seed(0)
    env.reset(seed=0)
    due = [False]

    def act(k):
        if due[0]:
            env.reset()
            due[0] = False
            return
        *_, terminated, truncated, _ = env.step(env.action_space.sample())
        due[0] = bool(np.all(terminated) or np.all(truncated))

    return act


def test_what_leaks_is_seen():
    kept: list[Any] = []
    assert growth(lambda k: kept.append([k]), 10, 1000)[1] >= 900
    memory = growth(lambda k: kept.append(np.full(1 << 18, k)), 10, 50)[0]
    assert memory > MEMORY or not STATM.exists()


def test_ten_thousand_steps_of_a_bandit_leave_nothing_behind():
    env = BanditEnv(steps=50, render_mode="ansi")
    assert_flat(stepping(env), 500, 10_000)
    assert_flat(lambda k: env.reset(seed=k), 500, 3000)


def test_thousands_of_steps_of_many_bandits_leave_nothing_behind():
    env = gym.make_vec("MTL-Bandit-v0", num_envs=3, steps=50, autoreset_mode="SameStep").unwrapped
    assert_flat(stepping(env), 500, 5000)
    assert_flat(lambda k: env.reset(seed=k), 100, 1000)


@pytest.mark.parametrize("options", [{}, {"aggregator": "mgda"}, {"interface": "tasks"}])
def test_hundreds_of_steps_of_trainings_leave_nothing_behind(options):
    env = toy.make(3 if "interface" in options else 1, steps=25, **options)
    assert_flat(stepping(env), 60, 300)
    assert_flat(lambda k: env.reset(seed=k), 20, 60)


def test_trainings_that_are_saved_and_loaded_leave_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("mtlgym.io.atomic.os.fsync", lambda file: None)
    env = toy.make(steps=25, render_mode="ansi")
    env.reset(seed=0)
    env.save(tmp_path / "saved")

    def act(k):
        env.load(tmp_path / "saved")
        env.step(np.zeros(3, np.float32))
        env.render()
        env.evaluate("val")

    assert_flat(act, 20, 80)


def test_hundreds_of_routes_leave_nothing_behind():
    images, small = toy_images.problem(), toy_images.SMALL
    env = RoutingEnv(images, batch_size=4, epochs=10_000, **small)
    assert_flat(stepping(env), 100, 1200)
    assert_flat(lambda k: env.reset(seed=k), 20, 80)
    many = RoutingVectorEnv(images, 6, epochs=10_000, **small)
    assert_flat(stepping(many), 100, 400)


def test_the_adapter_for_stable_baselines3_leaves_nothing_behind():
    env = SB3VecEnv(gym.make_vec("MTL-Bandit-v0", num_envs=3, autoreset_mode="SameStep"))
    env.reset()
    actions = np.zeros(3, np.int64)
    assert_flat(lambda k: env.step(actions), 500, 5000)
