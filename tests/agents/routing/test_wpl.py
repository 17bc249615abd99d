"""The weighted policy learner against games, bandits and its formula in plain Python."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from numpy.testing import assert_allclose, assert_array_equal

from mtlgym.agents import WPL
from mtlgym.agents.routing.averages import Averages, remaining_share
from mtlgym.agents.routing.wpl_table import WPLSettings, WPLTable, project, scaled
from tests.agents.routing.toy_routes import Routes, found, greedy_run, run, vector

PENNIES = np.array([[1.0, -1.0], [-1.0, 1.0]])
BIASED = np.array([[1.0, 1.75], [1.25, 1.0]]), np.array([[1.75, 1.0], [1.0, 1.25]])
ARMS = np.array([0.5, 0.5, 0.5, 0.9, 0.5, 0.5, 0.5, 0.5])  # chances of +1, else -1


def gains(policies, payoffs):
    """Advantages of both players' arms from exact payoffs, (games, 2, 2)."""
    values = np.einsum("gpab,gpb->gpa", payoffs, policies[:, ::-1])
    return values - (policies * values).sum(axis=2, keepdims=True)


def played(steps):
    """Probabilities of the players' first arms, (steps, games, 2): three times pennies, biased."""
    pennies = PENNIES, -PENNIES.T
    payoffs = np.stack([pennies, pennies, pennies, (BIASED[0], BIASED[1].T)])
    policies = np.tile([[0.9, 0.1], [0.2, 0.8]], (4, 1, 1))
    trace = np.empty((steps, 4, 2))
    step = np.array([2e-3, 2e-3, 2e-3, 0.01])[:, None, None]
    for k in range(steps):
        moves = gains(policies, payoffs)
        moves[1] = scaled(moves[1], policies[1], "as_printed")
        moves[2:] = scaled(moves[2:], policies[2:], "weighted")
        policies = project(policies + step * moves, 1e-3)
        trace[k] = policies[:, :, 0]
    return trace


def test_games_end_as_the_scaling_says():
    last = played(60_000)[-12_000:]
    plain, printed, weighted = np.abs(last[:, :3] - 0.5).max(axis=2).mean(axis=0)
    assert plain == pytest.approx(0.437, abs=0.003)
    assert printed == pytest.approx(0.5, abs=0.003)  # in a corner
    assert weighted == pytest.approx(0.010, abs=0.001)
    assert_allclose(last[:, 3].mean(axis=0), [0.25, 0.75], atol=0.004)  # the equilibrium


def test_positive_advantages_slow_down_near_one_and_negative_ones_near_zero():
    advantage, policy = np.array([2.0, -3.0, 0.0]), np.array([0.7, 0.2, 0.1])
    assert_allclose(scaled(advantage, policy, "weighted"), [2 * 0.3, -3 * 0.2, 0])
    assert_allclose(scaled(advantage, policy, "as_printed"), [2 * 0.7, -3 * 0.8, 0])


@pytest.mark.parametrize("floor", [0.0, 1e-3, 0.1, 0.2])
def test_projection_gives_a_distribution_above_the_floor_and_keeps_one(floor):
    rng = np.random.default_rng(0)
    anything = rng.normal(0.2, 1.0, size=(2000, 5)) * 10 ** rng.uniform(-3, 3, size=(2000, 1))
    anything[0] = -1.0
    projected = project(anything, floor)
    assert_allclose(projected.sum(axis=1), 1, rtol=1e-12)
    assert np.all(projected >= floor * (1 - 1e-12))
    assert_array_equal(projected[0], [0.2] * 5)
    inside = floor + (1 - 5 * floor) * rng.dirichlet(np.ones(5), size=2000)
    assert_allclose(project(inside, floor), inside, rtol=1e-9, atol=1e-15)
    # one arm at the floor, as a step leaves it: all clipped and divided is nearly the same
    near = inside + rng.normal(0, 1e-3, size=inside.shape)
    divided = near.clip(floor, 1) / near.clip(floor, 1).sum(axis=1, keepdims=True)
    assert_allclose(project(near, floor), divided, atol=0.01)


def test_projection_leaves_out_what_is_not_allowed():
    allowed = np.array([True, False, True])
    assert_allclose(project(np.array([0.2, 5.0, 0.6]), 0.1, allowed), [0.7 / 3, 0, 2.3 / 3])


def test_average_is_plain_then_forgets():
    rng, average, numbers = np.random.default_rng(1), Averages(1, 0.1), []
    cell, expected = np.zeros(1, np.int64), 0.0
    for n in range(1, 40):
        number = rng.normal()
        numbers.append(number)
        average.add(cell, np.array([number]))
        expected += max(1 / n, 0.1) * (number - expected)
        assert average.of(cell)[0] == pytest.approx(expected)
        if n <= 10:
            assert average.of(cell)[0] == pytest.approx(np.mean(numbers))


@pytest.mark.parametrize("value_step", [0.0, 0.05, 0.3, 1.0])
def test_equal_numbers_at_once_count_as_one_after_another(value_step):
    for visits in (0, 1, 5, 19, 25, 100):
        for count in (1, 3, 30):
            weights = [1 - max(1 / (visits + n), value_step) for n in range(1, count + 1)]
            left = remaining_share(np.array([float(visits)]), np.array([float(count)]), value_step)
            assert left[0] == pytest.approx(np.prod(weights), abs=1e-12)


class Plain:
    """The rule, decision by decision, in plain Python; a plain average."""

    def __init__(self, states, arms, rate, floor, variant):
        self.policy = [[1 / arms] * arms for _ in range(states)]
        self.returns: list[list[list[float]]] = [[[] for _ in range(arms)] for _ in range(states)]
        self.rate, self.floor, self.variant = rate, floor, variant

    def value(self, state, arm):
        returns = self.returns[state][arm]
        return sum(returns) / len(returns) if returns else 0.0

    def learn(self, decisions):
        """Take in (state, arm, return) that come at once."""
        errors = [g - self.value(s, a) for s, a, g in decisions]
        for state, arm, earned in decisions:
            self.returns[state][arm].append(earned)
        moves: dict[int, list[float]] = {}
        for (state, arm, _), error in zip(decisions, errors, strict=True):
            move = moves.setdefault(state, [0.0] * len(self.policy[state]))
            for each, advantage in enumerate(self.advantages(state, arm, error)):
                p = self.policy[state][each]
                move[each] += self.rate * advantage * (p if advantage < 0 else 1 - p)
        for state, move in moves.items():
            self.policy[state] = self.projected(state, move)

    def advantages(self, state, arm, error):
        arms = range(len(self.policy[state]))
        if self.variant == "paper_trace":
            return [error if each == arm else 0.0 for each in arms]
        expected = sum(self.policy[state][each] * self.value(state, each) for each in arms)
        return [self.value(state, each) - expected for each in arms]

    def projected(self, state, move):
        moved = [p + m for p, m in zip(self.policy[state], move, strict=True)]
        above = [min(max(p, self.floor), 1.0) - self.floor for p in moved]
        return [self.floor + (1 - len(moved) * self.floor) * each / sum(above) for each in above]


@pytest.mark.parametrize("variant", ["all_actions", "paper_trace"])
def test_table_follows_the_formula_also_for_many_decisions_at_once(variant):
    rng = np.random.default_rng(3)
    table = WPLTable(4, 3, WPLSettings(0.05, 0.0, 0.01, "weighted", variant))
    plain = Plain(4, 3, 0.05, 0.01, variant)
    for count in [1] * 50 + [2, 9, 40] * 20:
        state, arm = rng.integers(4, size=count), rng.integers(3, size=count)
        returns = rng.normal(arm == state % 3, 1.0)
        table.learn(state, arm, returns, np.ones((count, 3), np.bool_))
        plain.learn(list(zip(state.tolist(), arm.tolist(), returns.tolist(), strict=True)))
        assert_allclose(table.policy, plain.policy, rtol=1e-10)
    values = [[plain.value(state, arm) for arm in range(3)] for state in range(4)]
    assert_allclose(table.values, values, rtol=1e-10)
    assert np.ptp(table.policy) > 0.1


def test_decisions_in_different_states_at_once_are_learnt_as_one_by_one():
    rng = np.random.default_rng(4)
    one, many = (WPLTable(6, 4, WPLSettings(learning_rate=0.1)) for _ in range(2))
    allowed = np.ones((6, 4), np.bool_)
    for _ in range(200):
        arm, returns, state = rng.integers(4, size=6), rng.normal(size=6), rng.permutation(6)
        many.learn(state, arm, returns, allowed)
        for k in range(6):
            part = slice(k, k + 1)
            one.learn(state[part], arm[part], returns[part], allowed[part])
    assert_allclose(many.policy, one.policy, rtol=1e-12)
    assert_allclose(many.values, one.values, rtol=1e-12)


@pytest.mark.parametrize("rows", [None, 5])
def test_agent_learns_returns_of_whole_episodes_by_the_formula(rows):
    """A walk over 3 states whose episodes are of unlike length, and which comes back to states."""
    space = spaces.Discrete(3) if rows is None else spaces.MultiDiscrete([3] * rows)
    agent = WPL(space, space, learning_rate=0.05, value_step=0.0, floor=0.01, gamma=0.9)
    plain, rng, count = Plain(3, 3, 0.05, 0.01, "all_actions"), np.random.default_rng(5), rows or 1
    walks: list[list[tuple[int, int, float]]] = [[] for _ in range(count)]

    def given(values):
        return values[0].item() if rows is None else values

    for _ in range(300):
        state, arm, after = rng.integers(3, size=(3, count))
        reward, over = rng.normal(arm == state), rng.random((2, count)) < 0.15
        agent.learn(*map(given, (state, arm, reward, after, *over)), {"final_obs": after})
        decisions = []
        for row in range(count):
            walks[row].append((state[row].item(), arm[row].item(), float(reward[row])))
            if over[:, row].any():
                rest = 0.0
                for where, chosen, earned in reversed(walks[row]):
                    rest = earned + 0.9 * rest
                    decisions.append((where, chosen, rest))
                walks[row] = []
        plain.learn(decisions)
    assert_allclose(agent.policy[0], plain.policy, rtol=1e-9)
    assert np.ptp(agent.policy) > 0.1


def test_a_mask_conditions_the_policy_and_its_step_on_what_is_allowed():
    table, narrow = (
        WPLTable(1, 4, WPLSettings(learning_rate=0.3)),
        WPLTable(1, 3, WPLSettings(learning_rate=0.3)),
    )
    allowed, rng = np.array([[True, False, True, True]]), np.random.default_rng(6)
    state, three = np.zeros(1, np.int64), np.ones((1, 3), np.bool_)
    for _ in range(100):
        arm, returns = rng.integers(3, size=1), rng.normal(size=1)
        table.learn(state, np.array([0, 2, 3])[arm], returns, allowed)
        narrow.learn(state, arm, returns, three)
    found = table.distribution(state, allowed)[0]
    assert_allclose(found[[0, 2, 3]], narrow.policy[0], rtol=1e-9)
    assert table.policy[0, 1] == 0.25  # to be drawn from once it is allowed
    assert_allclose(table.policy.sum(), 1, rtol=1e-12)


def bandit(steps, rows=32, **settings):
    """An agent after that many decisions in each row of a bandit with one state."""
    observations = spaces.MultiDiscrete([1] * rows)
    agent = WPL(observations, spaces.MultiDiscrete([8] * rows), seed=0, **settings)
    rng, nothing, over = np.random.default_rng(7), np.zeros(rows, np.int64), np.ones(rows, np.bool_)
    for _ in range(steps):
        arm = agent.act(nothing, {})
        reward = np.where(rng.random(rows) < ARMS[arm], 1.0, -1.0)
        agent.learn(nothing, arm, reward, nothing, over, ~over, {"final_info": {}})
    return agent


def test_the_best_arm_of_a_bandit_gets_all_but_the_floor():
    agent = bandit(1000)
    assert agent.policy[0, 0, 3] == pytest.approx(0.993, abs=0.002)
    assert_allclose(agent.values[0, 0, 3], 0.8, atol=0.1)


def test_the_trace_of_the_chosen_arm_alone_drifts_away_from_the_best():
    policy = bandit(1500, learning_rate=0.03, variant="paper_trace").policy[0, 0]
    assert policy[3] < 0.01


def test_the_printed_scaling_is_certain_of_some_arm_at_last():
    policy = bandit(200, learning_rate=0.05, scaling="as_printed").policy[0, 0]
    assert policy.max() > 0.99


def test_hidden_routes_are_found():
    env = vector(32, lost=0.5)
    agent = WPL(env.observation_space, env.action_space, seed=0)
    run(agent, env, 400, seed=0)
    assert found(agent, Routes()) == 1.0
    single = Routes(lost=0.5)
    agent = WPL(single.observation_space, single.action_space, seed=0, learning_rate=0.05)
    run(agent, single, 2000, seed=0)
    assert found(agent, single) == 1.0


def test_frozen_lake_is_crossed_in_the_fewest_steps():
    env = gym.make_vec("FrozenLake-v1", 16, vectorization_mode="sync", is_slippery=False)
    agent = WPL(env.observation_space, env.action_space, seed=0, learning_rate=0.05, gamma=0.95)
    run(agent, env, 1000, seed=0)
    assert greedy_run(agent, gym.make("FrozenLake-v1", is_slippery=False)) == [0.0] * 5 + [1.0]


def test_settings_out_of_range_are_named():
    env = Routes()
    wrong = {
        "learning_rate": -1.0,
        "value_step": 1.5,
        "floor": 0.3,  # of 4 arms
        "gamma": 1.1,
    }
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=f"`{name}` must"):
            WPL(env.observation_space, env.action_space, **{name: value})
    for name in ("scaling", "variant", "dispatch"):
        with pytest.raises(ValueError, match=f"unknown {name} 'other'"):
            WPL(env.observation_space, env.action_space, **{name: "other"})


def test_policy_and_values_are_copies():
    env = Routes()
    agent = WPL(env.observation_space, env.action_space)
    agent.policy[...] = agent.values[...] = 7
    assert_array_equal(agent.policy, np.full((3, 2, 4), 0.25))
    assert_array_equal(agent.values, np.zeros((3, 2, 4)))
