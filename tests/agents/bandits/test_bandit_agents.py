"""Agents that choose arms: what they have in common, over the table, and each one's rule."""

from math import exp, inf, log, nan, sqrt
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from mtlgym import agents
from mtlgym.agents.bandits.thompson import probabilities_of_largest
from mtlgym.io import checkpoint
from tests.agents.bandits.choices import NOT_ARMS, NOTHING, OBSERVATIONS, ROUTERS, info, learn, play

NAMES = sorted(agents.AGENTS.keys() - {*NOT_ARMS, *ROUTERS, "counterfactual"})
ROWS = [None, 3]
MEANS = (0.2, 0.8, 0.4, 0.3)
# Settings with which a bandit of 3,000 rounds is long enough, for those that look for the best arm.
LEARNERS: dict[str, dict[str, Any]] = {
    "exp3": {"gamma": 0.2},
    "exp3s": {"eta": 0.01, "importance": "pi"},
    "sliding_window_ucb": {"c": 0.5},
    "thompson": {},
    "ucb1": {"c": 0.5},
}
DETERMINISTIC = ("resting", "sliding_window_ucb", "ucb1")


def make(name, arms=4, rows=None, seed=0, **settings):
    space = spaces.Discrete(arms) if rows is None else spaces.MultiDiscrete([arms] * rows)
    kind = agents.AGENTS[name].path.partition(":")[2]
    return getattr(agents, kind)(OBSERVATIONS, space, seed=seed, **settings)


def act(agent, means=MEANS):
    return agent.act(NOTHING, info(means))


def means_of(rows):
    return np.array(MEANS) if rows is None else np.tile(MEANS, (rows, 1))


def assert_same(one, two):
    """Nested states are equal to the last bit."""
    assert type(one) is type(two)
    if isinstance(one, dict):
        assert one.keys() == two.keys()
        for key in one:
            assert_same(one[key], two[key])
    else:
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("name", NAMES)
def test_state_continues_bit_for_bit_also_from_a_file(name, rows, tmp_path):
    first, means = make(name, rows=rows, seed=3), means_of(rows)
    play(first, means, 137)
    state = first.state_dict()
    checkpoint.save(tmp_path / "state", state)
    expected = play(first, means, 300, seed=1), first.state_dict()
    assert_same(checkpoint.load(tmp_path / "state"), state)  # going on has not changed it
    for seed in (3, 4):
        second = make(name, rows=rows, seed=seed)
        second.load_state_dict(checkpoint.load(tmp_path / "state"))
        assert_array_equal(play(second, means, 300, seed=1), expected[0])
        assert_same(second.state_dict(), expected[1])


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"uniform"}))
def test_state_of_other_arms_is_refused(name):
    first = make(name)
    act(first)
    for other in (make(name, arms=5), make(name, rows=4)):
        with pytest.raises(ValueError, match="`state` is of"):
            other.load_state_dict(first.state_dict())


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("name", NAMES)
def test_actions_are_drawn_from_the_probabilities(name, rows):
    agent, means = make(name, rows=rows, seed=5), means_of(rows)
    play(agent, means, 30)
    draws = 30 if name in DETERMINISTIC else 4000
    drawn = np.stack([act(agent, means) for _ in range(draws)])
    assert drawn.dtype == np.int64
    counts = (drawn[..., None] == np.arange(4)).sum(0)
    pi = agent.probabilities
    assert pi.shape == means.shape
    assert np.all(pi >= 0)
    assert_allclose(pi.sum(-1), 1, rtol=1e-12)
    pi[...] = 7  # no part of the agent
    pi = agent.probabilities
    if name in DETERMINISTIC:
        assert_array_equal(counts, draws * pi)
    else:
        squares = ((counts - draws * pi) ** 2 / np.maximum(draws * pi, 1e-9)).sum()
        assert stats.chi2.sf(squares, 3 * (rows or 1)) > 1e-3


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_reward_or_no_arm_is_refused_and_changes_nothing(name, rows):
    agent, means = make(name, rows=rows), means_of(rows)
    play(agent, means, 20)
    state = agent.state_dict()

    def spread(value):  # the last row's is wrong
        return value if rows is None else np.array([1, 1, value])

    for reward in (nan, inf, -inf):
        with pytest.raises(ValueError, match=r"`reward` must be .*finite number.*, not"):
            learn(agent, spread(1), spread(reward))
    for action in (4, -1, 0.5):
        with pytest.raises(ValueError, match=r"`action` must be .*integer.* in \[0, 4\), not"):
            learn(agent, spread(action), spread(0.5))
    if rows:
        with pytest.raises(ValueError, match="`reward` must be"):
            learn(agent, spread(1), np.ones(2))
    assert_same(agent.state_dict(), state)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("name", NAMES)
def test_one_arm_is_always_chosen(name, rows):
    agent, means = make(name, arms=1, rows=rows), np.full((1,) if rows is None else (rows, 1), 0.5)
    assert not play(agent, means, 30).any()
    assert_array_equal(agent.probabilities, np.ones_like(means))


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("name", NAMES)
def test_rewards_of_any_size_are_borne(name, rows):
    agent, means = make(name, rows=rows), means_of(rows)
    rng = np.random.default_rng(0)
    settings = {"scale": False} if name == "exp3s" else {}
    for each in (agent, make(name, rows=rows, **settings)):
        for size in (0.0, 1e-310, 1.0, 1e200, 1.7e308, 1.7e308):
            for sign in rng.choice([-1.0, 1.0], size=20):
                action = act(each, means)
                learn(each, action, sign * size if rows is None else np.full(rows, sign * size))
        assert_allclose(each.probabilities.sum(-1), 1, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_rows_do_not_touch_each_other(name):
    """What one row earns changes no other row's probabilities."""
    one, two = make(name, rows=3), make(name, rows=3)
    rng, means = np.random.default_rng(0), means_of(3)
    act(one, means), act(two, means)
    for _ in range(40):
        actions, rewards = rng.integers(4, size=3), rng.random(3)
        learn(one, actions, rewards)
        learn(two, actions, rewards * [1, -5, 1])
    assert_array_equal(one.probabilities[[0, 2]], two.probabilities[[0, 2]])


@pytest.mark.parametrize("name", sorted({*LEARNERS, "resting"} - {"exp3s"}))
def test_a_row_is_a_bandit_alone(name):
    """Exp3.S, whose two forms are apart, has a test of its own."""
    many, alone = make(name, rows=3), [make(name) for _ in range(3)]
    rng = np.random.default_rng(1)
    for _ in range(60):
        actions, rewards = rng.integers(4, size=3), rng.normal(size=3)
        learn(many, actions, rewards)
        for agent, action, reward in zip(alone, actions.tolist(), rewards.tolist(), strict=True):
            learn(agent, action, reward)
    assert_array_equal(many.probabilities, [agent.probabilities for agent in alone])


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("name", LEARNERS)
def test_the_best_arm_is_found(name, rows):
    agent, means = make(name, rows=rows, **LEARNERS[name]), means_of(rows)
    if rows:
        means = np.stack([np.roll(row, k) for k, row in enumerate(means)])
    last = play(agent, means, 3000)[-1000:]
    assert np.all((last == means.argmax(-1)).mean(0) > 0.6)


def late_share(name, **settings):
    """How often the better arm is chosen in the end, when two known arms have changed places."""
    agent, rng = make(name, arms=2, c=0.5, **settings), np.random.default_rng(0)
    for _ in range(1000):
        learn(agent, 0, float(rng.random() < 0.9))
        learn(agent, 1, float(rng.random() < 0.1))
    return (play(agent, (0.1, 0.9), 800)[-200:] == 1).mean()


def test_sliding_window_follows_a_change_that_the_whole_past_hides():
    assert late_share("sliding_window_ucb", window=300) > 0.85
    assert late_share("ucb1") < 0.15


def test_ucb1_chooses_by_its_formula():
    agent, rng = make("ucb1", c=0.7), np.random.default_rng(2)
    rewards: dict[int, list[float]] = {}
    for t in range(300):
        bounds = [
            sum(rewards[k]) / len(rewards[k]) + 0.7 * sqrt(2 * log(t) / len(rewards[k]))
            if k in rewards
            else inf
            for k in range(4)
        ]
        action = act(agent)
        assert action == np.argmax(bounds)
        assert_array_equal(agent.probabilities, np.eye(4)[action])
        reward = float(rng.normal(MEANS[action]))
        rewards.setdefault(action, []).append(reward)
        learn(agent, action, reward)


def test_sliding_window_ucb_chooses_by_its_formula():
    agent, rng = make("sliding_window_ucb", window=40, c=0.7), np.random.default_rng(3)
    past: list[tuple[int, float]] = []
    for t in range(400):
        recent = past[-40:]
        bounds: list[float] = []
        for arm in range(4):
            earned = [reward for pulled, reward in recent if pulled == arm]
            width = 0.7 * sqrt(0.6 * log(min(t, 40)) / len(earned)) if earned else inf
            bounds.append(float(np.mean(earned)) + width if earned else inf)
        assert act(agent) == np.argmax(bounds)
        action = act(agent) if t % 3 else int(rng.integers(4))
        past.append((action, float(rng.normal(MEANS[action]))))
        learn(agent, *past[-1])


def test_a_huge_reward_leaves_no_trace_in_the_window():
    agent, same = (make("sliding_window_ucb", arms=2, window=7) for _ in range(2))
    learn(agent, 0, 1e300)
    learn(same, 0, 0.0)
    rng = np.random.default_rng(4)
    for _ in range(7):
        action, reward = int(rng.integers(2)), float(rng.random())
        learn(agent, action, reward)
        learn(same, action, reward)
    for _ in range(30):
        assert act(agent) == act(same)
        learn(agent, act(agent), 0.25)
        learn(same, act(same), 0.25)


def test_exp3_follows_its_formula():
    agent, gamma = make("exp3", gamma=0.3, scale=False), 0.3
    weights, rng = [1.0] * 4, np.random.default_rng(5)
    for _ in range(200):
        p = [(1 - gamma) * w / sum(weights) + gamma / 4 for w in weights]
        assert_allclose(agent.probabilities, p, rtol=1e-11)
        action, reward = act(agent), float(rng.random())
        weights[action] *= exp(gamma * reward / p[action] / 4)
        learn(agent, action, reward)
    with pytest.raises(ValueError, match=r"`reward` must lie in \[0, 1\] unless `scale`"):
        learn(agent, 0, 1.1)


def test_exp3_scales_rewards_of_any_range():
    agents_ = [make("exp3", gamma=0.3) for _ in range(2)]
    rng = np.random.default_rng(6)
    for _ in range(300):
        action, reward = int(rng.integers(4)), float(rng.normal())
        for agent, factor in zip(agents_, (1.0, 2.0**500), strict=True):
            learn(agent, action, reward * factor)
    assert_array_equal(agents_[0].probabilities, agents_[1].probabilities)
    assert np.ptp(agents_[0].probabilities) > 0.01


def sampled_means(rewards, prior, rng, draws):
    """Means from the posterior, as the model says: the variance first, then the mean; (draws,)."""
    mean, strength, shape, scale = prior
    for reward in rewards:  # one at a time
        scale += strength * (reward - mean) ** 2 / (2 * (strength + 1))
        mean = (strength * mean + reward) / (strength + 1)
        strength, shape = strength + 1, shape + 0.5
    variances = stats.invgamma(shape, scale=scale).rvs(draws, random_state=rng)
    return rng.normal(mean, np.sqrt(variances / strength))


def test_thompson_sampling_chooses_as_the_posterior_says():
    prior = {"mean": 0.5, "strength": 2.0, "shape": 1.5, "scale": 0.3}
    agent, rng = make("thompson", **prior), np.random.default_rng(7)
    rewards = [list(rng.normal(MEANS[k], 0.5, size=k * 2)) for k in range(4)]  # of arm 0 none
    for arm, earned in enumerate(rewards):
        for reward in earned:
            learn(agent, arm, float(reward))
    drawn = [sampled_means(each, prior.values(), rng, 200_000) for each in rewards]
    expected = np.bincount(np.argmax(drawn, axis=0), minlength=4) / 200_000
    assert_allclose(agent.probabilities, expected, atol=0.004)


def test_thompson_sampling_knows_neither_units_nor_origin_of_the_rewards():
    agents_ = [make("thompson") for _ in range(3)]
    rng = np.random.default_rng(8)
    for _ in range(50):
        action, reward = int(rng.integers(4)), float(rng.normal())
        for agent, (factor, start) in zip(agents_, ((1, 0), (1e-6, 0), (3, 7)), strict=True):
            learn(agent, action, factor * reward + start)
    for agent in agents_[1:]:
        assert_allclose(agent.probabilities, agents_[0].probabilities, rtol=1e-6)


def test_thompson_sampling_with_discount_follows_a_change():
    shares = []
    for discount in (0.98, 1.0):
        agent = make("thompson", arms=2, discount=discount)
        play(agent, (0.9, 0.1), 2000)
        shares.append((play(agent, (0.1, 0.9), 600, seed=1)[-200:] == 1).mean())
    assert shares[0] > 0.8 > 0.2 > shares[1]


def test_equal_rewards_leave_thompson_sampling_undecided():
    agent = make("thompson")
    for reward in (0.0,) * 20:
        learn(agent, act(agent), reward)
    assert_allclose(np.bincount([act(agent) for _ in range(4000)]) / 4000, 0.25, atol=0.05)


def test_probability_of_the_largest_is_exact():
    spreads, far = np.array([1.0, 1e-3]), np.full(2, 1e9)
    found = probabilities_of_largest(np.array([0.0, 0.5]), spreads, far)
    assert_allclose(found[0], stats.norm.sf(0.5 / np.hypot(*spreads)), atol=1e-6)
    found = probabilities_of_largest(np.zeros(3), np.ones(3), np.full(3, 0.7))
    assert_allclose(found, 1 / 3, atol=1e-9)
    # two Cauchy variables differ by a Cauchy variable of the sum of their scales
    found = probabilities_of_largest(np.array([1.0, 0.0]), np.array([2.0, 0.01]), np.ones(2))
    assert_allclose(found[0], stats.cauchy.cdf(1 / 2.01), atol=1e-6)


@pytest.mark.parametrize("name", ["oracle", "task_size"])
def test_fixed_policies_take_what_is_given_before_what_the_info_has(name):
    argument = {"oracle": "probabilities", "task_size": "sizes"}[name]
    given = make(name, **{argument: [0.1, 0.2, 0.3, 0.4]})
    act(given)
    assert_allclose(given.probabilities, [0.1, 0.2, 0.3, 0.4])
    rows = make(name, rows=2, **{argument: [[0.25] * 4, [0.7, 0.1, 0.1, 0.1]]})
    assert_allclose(rows.probabilities[1], [0.7, 0.1, 0.1, 0.1])
    waiting = make(name, rows=2)
    unknown = waiting.probabilities
    assert unknown is None
    act(waiting)  # one distribution for both rows
    told = info(MEANS)[{"oracle": "oracle", "task_size": "task_sizes"}[name]]
    expected = told / told.sum()
    assert_allclose(waiting.probabilities, [expected] * 2)
    with pytest.raises(ValueError, match=f"`{argument}` must be given where `info` lacks"):
        make(name).act(NOTHING, {"step": 0})
    other = make(name, **{argument: [0.4, 0.3, 0.2, 0.1]})
    with pytest.raises(ValueError, match="`state` is of the distribution"):
        other.load_state_dict(given.state_dict())


def test_fixed_policies_refuse_what_is_no_distribution():
    for sizes in ([1, 2, 0, 1], [1, 2, 3], [1, 2, 3, nan], "abcd"):
        with pytest.raises(ValueError, match="`sizes` must be"):
            make("task_size", sizes=sizes)
    for shares in ([0.5, 0.5, 0.1, 0], [1.2, -0.2, 0, 0], [0.5, 0.5]):
        with pytest.raises(ValueError, match="`probabilities` must be"):
            make("oracle", probabilities=shares)
    with pytest.raises(ValueError, match=r"""`info\["oracle"\]` must be"""):
        make("oracle").act(NOTHING, {"oracle": np.ones(4)})


@pytest.mark.parametrize(
    "spec", ["task_size:sizes=[1, 2, 3, 4]", "exp3s:eta=0.01", "thompson:mean=0"]
)
def test_specs_carry_settings(spec):
    agent = agents.make(spec, OBSERVATIONS, spaces.Discrete(4), seed=0)
    assert agent.probabilities.shape == (4,)


SETTINGS: dict[str, dict[str, tuple[float, ...]]] = {
    "exp3": {"gamma": (0.0, 1.5), "reservoir": (0,)},
    "resting": {"fill": (0.0, 1.1), "growth": (1.0,), "rate": (0.0, 2.0)},
    "sliding_window_ucb": {"window": (0,), "xi": (-1.0,), "c": (nan,)},
    "thompson": {"strength": (0.0,), "shape": (0.0,), "scale": (-1.0,), "discount": (0.0, 1.1)},
    "ucb1": {"c": (-1.0,)},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_out_of_range_are_named(name):
    for setting, values in SETTINGS[name].items():
        for value in values:
            with pytest.raises(ValueError, match=f"`{setting}` must"):
                make(name, **{setting: value})
