"""The counterfactual policy as an agent."""

import numpy as np
import pytest
from gymnasium import spaces

from mtlgym import agents
from mtlgym.agents import Counterfactual
from mtlgym.agents.off_policy.logged_sums import LoggedSums
from mtlgym.envs.bandit import BanditVectorEnv
from tests.agents.off_policy.logged import POLICIES, logged, shortfall, sums_of, written

NOTHING = spaces.Discrete(1)


class Game:
    """Arms with fixed mean rewards, in episodes of fixed length; writes down what happened."""

    def __init__(self, agent, means, length, seed=0):
        self.agent, self.means, self.length = agent, means, length
        self.rng, self.kept, self.time = np.random.default_rng(seed), [], 0

    def play(self, steps):
        actions = []
        for _ in range(steps):
            action, policy = self.agent.act(None, {}), self.agent.probabilities
            reward = float(self.rng.random() < self.means[action])
            self.time += 1
            over = self.time % self.length == 0
            self.agent.learn(None, action, reward, None, False, over, {})
            self.kept.append((action, policy[action], reward))
            actions.append(action)
        return actions


MEANS = [0.1, 0.3, 0.9]


def test_agent_starts_uniform_and_draws_from_its_policy():
    agent = Counterfactual(NOTHING, spaces.Discrete(3), seed=0)
    np.testing.assert_array_equal(agent.probabilities, [1 / 3] * 3)
    agent = Counterfactual(NOTHING, spaces.Discrete(3), seed=0, start=[0.2, 0.7, 0.1])
    drawn = np.bincount([agent.act(None, {}) for _ in range(5000)], minlength=3) / 5000
    np.testing.assert_allclose(drawn, [0.2, 0.7, 0.1], atol=0.03)
    assert type(agent.act(None, {})) is int
    agent.probabilities[:] = 0  # a copy
    np.testing.assert_array_equal(agent.probabilities, [0.2, 0.7, 0.1])


@pytest.mark.parametrize("pool", [True, False])
def test_policy_becomes_the_best_of_the_log_at_the_end_of_each_round(pool):
    agent = Counterfactual(NOTHING, spaces.Discrete(3), seed=0, iterations=60, pool=pool)
    game, policies = Game(agent, MEANS, 300), [agent.probabilities]
    for done in range(4):
        assert agent.improvements == min(done, 2)
        assert agent.practice == 2 - agent.improvements
        game.play(299)
        np.testing.assert_array_equal(agent.probabilities, policies[-1])  # fixed in an episode
        game.play(1)
        policies.append(agent.probabilities)
    np.testing.assert_array_equal(policies[2], policies[3])
    np.testing.assert_array_equal(policies[2], policies[4])
    for done, (first, last) in enumerate([(0, 300), (0 if pool else 300, 600)], start=1):
        sums = sums_of(*zip(*game.kept[first:last], strict=True))
        assert -1e-9 < shortfall(sums, policies[done]) < 1e-6


def test_failed_episodes_end_a_round_too():
    agent = Counterfactual(NOTHING, spaces.Discrete(2), seed=0, rounds=1)
    agent.learn(None, 0, 0.0, None, False, False, {})
    agent.learn(None, 1, 1.0, None, True, False, {})
    assert agent.improvements == 1
    assert agent.probabilities[1] > 0.9


def test_improvement_waits_until_every_arm_was_tried():
    agent = Counterfactual(NOTHING, spaces.Discrete(3), seed=0)
    for action, improvements in ((0, 0), (0, 0), (1, 0), (2, 1)):
        agent.learn(None, action, 0.5, None, False, True, {})
        assert agent.improvements == improvements


def test_agent_continues_bit_for_bit_across_an_improvement():
    def play(agent, game, steps):
        game.agent = agent
        return game.play(steps)

    whole = Counterfactual(NOTHING, spaces.Discrete(3), seed=0)
    game = Game(whole, MEANS, 100)
    expected = game.play(350)
    for stop in (0, 50, 100, 199, 301):
        first, game = Counterfactual(NOTHING, spaces.Discrete(3), seed=0), Game(None, MEANS, 100)
        actions = play(first, game, stop)
        state = first.state_dict()
        first.act(None, {})  # the state is a copy
        first.learn(None, 0, 1.0, None, False, True, {})
        second = Counterfactual(NOTHING, spaces.Discrete(3), seed=9)
        second.load_state_dict(state)
        assert actions + play(second, game, 350 - stop) == expected
        np.testing.assert_array_equal(second.probabilities, whole.probabilities)


def test_states_of_other_settings_are_refused():
    state = Counterfactual(NOTHING, spaces.Discrete(3), seed=0).state_dict()
    for other in (
        Counterfactual(NOTHING, spaces.Discrete(4)),
        Counterfactual(NOTHING, spaces.MultiDiscrete([3])),
        Counterfactual(NOTHING, spaces.Discrete(3), entropy=0.1),
    ):
        before = other.act(None, {}), other.state_dict()
        with pytest.raises(ValueError, match="`state` is of a Counterfactual with"):
            other.load_state_dict(state)
        np.testing.assert_equal(other.state_dict(), before[1])


@pytest.mark.parametrize(
    ("action", "reward", "message"),
    [(1, np.nan, "`reward`"), (1, np.inf, "`reward`"), (3, 1.0, "`action`"), (-1, 1.0, "`action`")],
)
@pytest.mark.parametrize("rows", [None, 2])
def test_bad_actions_and_rewards_are_refused_and_change_nothing(action, reward, message, rows):
    space = spaces.Discrete(3) if rows is None else spaces.MultiDiscrete([3, 3])
    agent = Counterfactual(NOTHING, space, seed=0)
    if rows is not None:
        action, reward = np.array([0, action]), np.array([1.0, reward])
    before = agent.state_dict()
    with pytest.raises(ValueError, match=message):
        agent.learn(None, action, reward, None, False, np.bool_(rows is None), {})
    np.testing.assert_equal(agent.state_dict(), before)


def test_rows_are_improved_at_the_ends_of_their_own_episodes():
    agent = Counterfactual(NOTHING, spaces.MultiDiscrete([3, 3, 3]), seed=0, rounds=1)
    rng, ends, over = np.random.default_rng(0), np.array([50, 80, 110]), np.zeros(3, np.bool_)
    kept: list[list[tuple[int, float, float]]] = [[], [], []]
    for step in range(1, 121):
        actions = agent.act(None, {})
        assert actions.shape == (3,)
        policies = agent.probabilities[np.arange(3), actions]
        rewards = np.where(over, 0.0, rng.random(3) < np.take(MEANS, actions))
        for row in np.flatnonzero(~over & (step <= ends)).tolist():
            kept[row].append((actions[row], policies[row], rewards[row]))
        over = np.equal(step, ends)  # the next step resets the row
        agent.learn(None, actions, rewards, None, np.zeros(3, bool), over, {})
        np.testing.assert_array_equal(agent.improvements, step >= ends)
    for row, policy in enumerate(agent.probabilities):
        sums = sums_of(*zip(*kept[row], strict=True))
        assert -1e-9 < shortfall(sums, policy) < 1e-3


def test_the_step_that_resets_a_row_is_not_learnt_from():
    agent = Counterfactual(NOTHING, spaces.MultiDiscrete([2, 2]), seed=0, rounds=2)
    both = np.array([True, False])
    agent.learn(None, np.array([0, 0]), np.ones(2), None, ~both & both, both, {})
    agent.learn(None, np.array([1, 1]), np.ones(2), None, ~both & both, ~both & both, {})
    agent.learn(None, np.array([1, 1]), np.ones(2), None, ~both & both, ~both & both, {})
    assert agent.state_dict()["count"].tolist() == [2, 3]


def test_rows_continue_bit_for_bit():
    env = BanditVectorEnv(2, arms=3, steps=40, reward="improvement")
    one = Counterfactual(env.observation_space, env.action_space, seed=1)
    two = Counterfactual(env.observation_space, env.action_space, seed=2)
    observation, info = env.reset(seed=0)
    for step in range(110):
        if step == 39:
            two.load_state_dict(one.state_dict())
        actions = one.act(observation, info)
        after, rewards, terminated, truncated, info = env.step(actions)
        if step >= 39:
            np.testing.assert_array_equal(two.act(observation, info), actions)
            two.learn(observation, actions, rewards, after, terminated, truncated, info)
        one.learn(observation, actions, rewards, after, terminated, truncated, info)
        observation = after
    np.testing.assert_equal(one.state_dict(), two.state_dict())
    assert one.practice == 0


def test_agent_is_fitted_to_a_log(tmp_path):
    log = logged(np.random.default_rng(0), POLICIES[:1], 500)
    path = written(tmp_path / "a.log", *log)
    sums = LoggedSums.of(path)
    fixed = Counterfactual(NOTHING, spaces.Discrete(3), seed=0, rounds=0, entropy=1.0)
    assert fixed.practice == 0
    fixed.learn(None, 0, 5.0, None, False, True, {})
    np.testing.assert_array_equal(fixed.probabilities, [1 / 3] * 3)
    for given in (path, str(path), [path], sums):
        fixed.fit(given)
        assert -1e-9 < shortfall(sums, fixed.probabilities, entropy=1.0) < 1e-3
    assert fixed.improvements == 0


def test_agent_starts_from_a_log_and_pools_it_with_its_episodes(tmp_path):
    paths = [
        written(tmp_path / f"{k}.log", *logged(np.random.default_rng(k), [policy], 200))
        for k, policy in enumerate(POLICIES)
    ]
    sums = LoggedSums.of(paths)
    agent = Counterfactual(NOTHING, spaces.Discrete(3), seed=0, log=paths)
    assert -1e-9 < shortfall(sums, agent.probabilities) < 1e-2
    game = Game(agent, MEANS, 100)
    game.play(100)
    own = sums_of(*zip(*game.kept, strict=True))
    np.testing.assert_allclose(
        agent.state_dict()["moments"][:, 0], (own + sums).moments, rtol=1e-12
    )
    alone = Counterfactual(NOTHING, spaces.Discrete(3), seed=0, log=paths, pool=False)
    assert not alone.state_dict()["moments"].any()
    spec = f'counterfactual:rounds=0,log="{paths[0]}"'
    made = agents.make(spec, NOTHING, spaces.Discrete(3), seed=0)
    assert made.probabilities[2] > 0.9
    with pytest.raises(ValueError, match="`log` must be of 4 arms, as the action space"):
        Counterfactual(NOTHING, spaces.Discrete(4), log=paths[0])
    with pytest.raises(FileNotFoundError, match=r"none\.log"):
        Counterfactual(NOTHING, spaces.Discrete(3), log=tmp_path / "none.log")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"rounds": -1}, "`rounds` must be an integer of at least 0, not -1"),
        ({"start": [0.5, 0.5, 0.0]}, "`start` must be above 0 for each arm"),
        ({"start": [0.5, 0.5]}, "`start` must be 3 probabilities"),
    ],
)
def test_settings_of_the_agent_are_checked(setting, message):
    with pytest.raises(ValueError, match=message):
        Counterfactual(NOTHING, spaces.Discrete(3), **setting)


def test_other_action_spaces_are_refused():
    for space in (
        spaces.Box(0, 1, (3,)),
        spaces.MultiDiscrete([3, 4]),
        spaces.Discrete(3, start=1),
    ):
        with pytest.raises(ValueError, match="Counterfactual needs the action space Discrete"):
            Counterfactual(NOTHING, space)


def test_one_arm_is_always_chosen():
    agent = Counterfactual(NOTHING, spaces.Discrete(1), seed=0)
    for _ in range(3):
        assert agent.act(None, {}) == 0
        agent.learn(None, 0, 1.0, None, False, True, {})
    np.testing.assert_array_equal(agent.probabilities, [1.0])


def mean_scores(agent, env, episodes):
    """Of each episode's end; (episodes, rows)."""
    found = []
    observation, info = env.reset(seed=100)
    for _ in range(episodes):
        done = False
        while not done:
            actions = agent.act(observation, info)
            after, rewards, terminated, truncated, info = env.step(actions)
            agent.learn(observation, actions, rewards, after, terminated, truncated, info)
            observation, done = after, bool(truncated.all())
        found.append(info["mean_score"])
        observation, info = env.reset()
    return np.array(found)


def test_pooled_improvement_beats_the_uniform_policy_on_the_bandit_and_the_last_round_alone_not():
    finals = {}
    for pool in (True, False):
        env = BanditVectorEnv(12, steps=1000, reward="improvement")
        agent = Counterfactual(env.observation_space, env.action_space, seed=0, pool=pool)
        finals[pool] = mean_scores(agent, env, 3)
        assert agent.practice == 0
    uniform = finals[True][0]
    np.testing.assert_array_equal(finals[False][0], uniform)
    assert np.median(finals[True][2]) > np.median(uniform) + 0.01
    assert np.mean(finals[True][2] > uniform) > 0.7
    assert np.median(finals[False][2]) < np.median(uniform)
