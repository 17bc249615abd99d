"""Q-learning with a table against its formula in plain Python."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from numpy.testing import assert_allclose, assert_array_equal

from mtlgym.agents import QLearning
from tests.agents.routing.toy_routes import Routes, greedy_route, greedy_run, run, seen, vector

MODES = {"next": "NextStep", "same": "SameStep"}


def lake(rows=None, mode="NextStep", **settings):
    settings = {"is_slippery": False} | settings
    if rows is None:
        return gym.make("FrozenLake-v1", **settings)
    reset = {"autoreset_mode": mode}
    return gym.make_vec(
        "FrozenLake-v1", rows, vectorization_mode="sync", vector_kwargs=reset, **settings
    )


def table(agent):
    return agent.state_dict()["values"]["table"]


class Plain:
    """One-step Q-learning in a dictionary; targets that come at once pull by their mean."""

    def __init__(self, arms, rate, gamma):
        self.q: dict[int, list[float]] = {}
        self.arms, self.rate, self.gamma = arms, rate, gamma

    def of(self, state):
        return self.q.setdefault(state, [0.0] * self.arms)

    def learn(self, steps):
        """Take in (state, arm, reward, state after, terminated)."""
        targets: dict[tuple[int, int], list[float]] = {}
        for state, arm, reward, after, terminated in steps:
            target = reward + (0.0 if terminated else self.gamma * max(self.of(after)))
            targets.setdefault((state, arm), []).append(target)
        for (state, arm), wanted in targets.items():
            mean = sum(wanted) / len(wanted)
            for _ in wanted:
                self.of(state)[arm] += self.rate * (mean - self.of(state)[arm])


@pytest.mark.parametrize("mode", MODES)
def test_values_follow_the_formula_through_truncation(mode):
    """What follows is told by the lake's own table, not by the observations after a reset."""
    env = lake(3, MODES[mode], max_episode_steps=4)
    ways = lake().unwrapped.P
    agent = QLearning(env.observation_space, env.action_space, seed=0, gamma=0.9)
    # a reward for each step, so that there is something to learn
    plain, rng = Plain(4, 0.1, 0.9), np.random.default_rng(1)
    observation, info = env.reset(seed=0)
    resets = np.zeros(3, np.bool_)
    truncations = 0
    for _ in range(400):
        action = rng.integers(4, size=3)
        after, _, terminated, truncated, info = env.step(action)
        reward = np.where(resets, 0.0, observation / 10 + action)
        agent.learn(observation, action, reward, after, terminated, truncated, info)
        steps = []
        for row in np.flatnonzero(~resets).tolist():
            state, arm = int(observation[row]), int(action[row])
            steps.append((state, arm, reward[row], ways[state][arm][0][1], terminated[row]))
        plain.learn(steps)
        truncations += np.sum(truncated & ~terminated)
        resets = (terminated | truncated) & (mode == "next")
        observation = after
    expected = [plain.of(state) for state in range(16)]
    assert_allclose(table(agent)[0], expected, rtol=1e-10)
    assert truncations > 50


def test_a_single_environment_s_values_follow_the_formula_within_masks():
    agent = QLearning(spaces.Discrete(3), spaces.Discrete(2), seed=0, learning_rate=0.5, gamma=0.5)
    both, first = {"action_mask": np.ones(2, np.int8)}, {"action_mask": np.array([1, 0], np.int8)}
    agent.learn(1, 1, 8.0, 2, True, False, both)  # Q(1, 1) = 4
    agent.learn(1, 0, 2.0, 2, True, False, both)  # Q(1, 0) = 1
    agent.learn(0, 0, 1.0, 1, False, False, both)  # Q(0, 0) = (1 + 4 / 2) / 2
    agent.learn(0, 1, 1.0, 1, False, True, first)  # Q(0, 1) = (1 + 1 / 2) / 2
    assert_allclose(table(agent)[0], [[1.5, 0.75], [1.0, 4.0], [0.0, 0.0]])
    assert agent.greedy(1, both) == 1
    assert agent.greedy(1, first) == 0
    assert agent.greedy(2, both) == 0


def test_the_mask_of_a_truncated_episode_s_last_observation_counts_when_rows_reset_at_once():
    rows = spaces.MultiDiscrete([3, 3])
    agent = QLearning(rows, spaces.MultiDiscrete([2, 2]), learning_rate=1.0)
    no, yes = np.zeros(2, np.bool_), np.ones(2, np.bool_)
    two = np.array([2, 2])
    info: dict[str, Any] = {"final_info": {}}
    agent.learn(np.array([1, 1]), np.array([0, 1]), np.array([1.0, 5.0]), two, yes, no, info)
    last = np.full(2, None, object)
    last[0] = 1
    info = {
        "final_obs": last,
        "_final_obs": np.array([True, False]),
        "final_info": {"action_mask": np.array([[1, 0], [0, 0]])},
        "action_mask": np.ones((2, 2), np.int8),
    }
    state, arms, rewards = np.array([0, 2]), np.array([0, 0]), np.zeros(2)
    agent.learn(state, arms, rewards, np.array([2, 1]), no, np.array([True, False]), info)
    assert table(agent)[0, 0, 0] == 1.0  # the first arm's; the second, of 5, is forbidden
    assert table(agent)[0, 2, 0] == 5.0


@pytest.mark.parametrize("rows", [None, 2000])
def test_choices_are_greedy_but_for_epsilon_and_ties_are_broken_at_random(rows):
    space = spaces.Discrete(1) if rows is None else spaces.MultiDiscrete([1] * rows)
    arms = spaces.Discrete(4) if rows is None else spaces.MultiDiscrete([4] * rows)
    agent = QLearning(space, arms, seed=0, epsilon=0.2)
    state = agent.state_dict()
    state["values"]["table"][...] = [1.0, 3.0, 3.0, 2.0]
    agent.load_state_dict(state)
    nothing = 0 if rows is None else np.zeros(rows, np.int64)
    expected = [0.05, 0.45, 0.45, 0.05]
    assert_allclose(agent.distribution(nothing, {})[0], expected)
    drawn = np.ravel([agent.act(nothing, {}) for _ in range(2000 if rows is None else 2)])
    assert_allclose(np.bincount(drawn, minlength=4) / len(drawn), expected, atol=0.04)
    assert np.all(agent.greedy(nothing, {}) == np.int64(1))


def test_a_chain_is_walked_to_its_end():
    """CliffWalking's shortest safe walk is 13 steps of -1."""
    env = gym.make("CliffWalking-v1")
    agent = QLearning(env.observation_space, env.action_space, seed=0, learning_rate=0.8)
    run(agent, env, 4000, seed=0)
    assert greedy_run(agent, env) == [-1.0] * 13


def test_frozen_lake_is_crossed_in_the_fewest_steps():
    env = lake(16)
    agent = QLearning(env.observation_space, env.action_space, seed=0, gamma=0.95)
    run(agent, env, 1000, seed=0)
    assert greedy_run(agent, lake()) == [0.0] * 5 + [1.0]


def test_of_a_route_paid_at_its_end_a_table_learns_the_last_block_alone():
    """What follows a choice has the same value whatever was chosen: the state does not tell."""
    env, single = vector(32, lost=0.5), Routes(lost=0.5)
    agent = QLearning(env.observation_space, env.action_space, seed=0, learning_rate=0.02)
    run(agent, env, 600, seed=0)
    last = [greedy_route(agent, single, task)[1] for task in range(3)]
    assert_array_equal(last, single.routes[:, 1])
    learnt = table(agent)
    alone = QLearning(single.observation_space, single.action_space, learning_rate=1.0)
    state = alone.state_dict()
    state["values"]["table"] = learnt
    alone.load_state_dict(state)
    for block in range(4):
        alone.learn(seen(None, 0, 0), block, 0.0, seen(None, 0, 1), False, False, {})
    assert_array_equal(table(alone)[0, 0], [learnt[0, 1].max()] * 4)


def test_settings_out_of_range_are_named():
    env = Routes()
    wrong = {"learning_rate": 1.5, "epsilon": -0.1, "gamma": 2.0, "hidden": 0}
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=f"`{name}` must"):
            QLearning(env.observation_space, env.action_space, **{name: value})
    with pytest.raises(ValueError, match="Did you mean 'network'"):
        QLearning(env.observation_space, env.action_space, representation="networks")
