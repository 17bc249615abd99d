"""What the agents with networks learn on small environments."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.testing import assert_array_equal

from tests.agents.routing.network_agents import NAMES, agent_for
from tests.agents.routing.toy_routes import Routes, run, vector


class Contexts(gym.Env):
    """One decision: 1 where the arm is right for the signs of two numbers, else 0.

    No line parts the signs that belong to an arm, so that a hidden layer is needed.
    """

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._seen = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self._seen, {}

    def step(self, action):
        reward = float(action == (self._seen.prod() > 0))
        return self._seen, reward, True, False, {}


class Chain(gym.Env):
    """Three steps to the right pay 1 at the end; a step to the left ends it with .1."""

    observation_space = spaces.Discrete(3)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._place = 0
        return 0, {}

    def step(self, action):
        self._place += 1
        if action == 0:
            return self._place - 1, 0.1, True, False, {}
        over = self._place == 3
        return min(self._place, 2), float(over), over, False, {}


def many(kind, rows):
    return SyncVectorEnv([kind] * rows, autoreset_mode=AutoresetMode.SAME_STEP)


@NAMES
def test_arms_that_depend_on_the_value_are_learnt(name):
    env = many(Contexts, 16)
    agent = agent_for(env, name, learning_rate=0.01)
    run(agent, env, 300, seed=0)
    seen = np.random.default_rng(9).uniform(-1, 1, (50, 16, 2)).astype(np.float32)
    right = [agent.greedy(each, {}) == (each.prod(1) > 0) for each in seen]
    assert np.mean(right) > 0.9


@NAMES
def test_the_larger_reward_is_found_at_the_end_of_a_chain(name):
    env = many(Chain, 8)
    agent = agent_for(env, name, learning_rate=0.01)
    run(agent, env, 200, seed=0)
    for state in range(3):
        assert_array_equal(agent.greedy(np.full(8, state), {}), 1)


@pytest.mark.parametrize("baseline", ["mean", "none"])
def test_hidden_routes_are_found(baseline):
    """By returns alone: what is observed does not tell which blocks were taken before."""
    rows, routes = 18, Routes(tasks=3, depths=2).routes
    env = vector(rows, AutoresetMode.SAME_STEP, tasks=3, depths=2, best=0.9, lost=0.3)
    agent = agent_for(env, baseline=baseline, learning_rate=0.01)
    run(agent, env, 250, seed=0)
    task, value = np.arange(rows) % 3, np.random.default_rng(0).uniform(-1, 1, (rows, 5))
    for depth in range(2):
        seen = {"value": value, "task": task, "depth": np.full(rows, depth)}
        assert_array_equal(agent.greedy(seen, {}), routes[task, depth])


@NAMES
def test_plain_environments_are_played(name):
    for plain in ("FrozenLake-v1", "CartPole-v1", "CliffWalking-v1"):
        env = gym.make(plain)
        actions = run(agent_for(env, name), env, 40, seed=0)
        assert all(env.action_space.contains(each) for each in actions)


def lengths(agent, env, steps):
    """Mean length of the episodes that ended in the last fifth of the steps."""
    observation, info = env.reset(seed=0)
    ends = 0
    for step in range(steps):
        action = agent.act(observation, info)
        after, reward, terminated, truncated, info = env.step(action)
        agent.learn(observation, action, reward, after, terminated, truncated, info)
        observation = after
        if step >= steps * 4 // 5:
            ends += int((terminated | truncated).sum())
    return env.num_envs * (steps // 5) / max(ends, 1)


def test_poles_are_balanced_for_longer_than_by_chance():
    """Random pushes keep a pole up for some 22 steps."""
    env = gym.make_vec("CartPole-v1", num_envs=8, vectorization_mode="vector_entry_point")
    agent = agent_for(env, "reinforce", gamma=0.99, learning_rate=0.01)
    assert lengths(agent, env, 1000) > 100
