"""Exp3.S against its definition, and the reservoir that scales its rewards."""

from math import exp, log

import numpy as np
import pytest
from gymnasium import spaces
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from mtlgym.agents import Exp3S
from mtlgym.agents.bandits.reservoir import Reservoir, Reservoirs
from tests.agents.bandits.choices import NOTHING, OBSERVATIONS, learn

IMPORTANCE = ("rho", "pi")
FORMS = {"single": spaces.Discrete(5), "rows": spaces.MultiDiscrete([5] * 3)}


def make(arms=5, rows=None, **settings):
    space = spaces.Discrete(arms) if rows is None else spaces.MultiDiscrete([arms] * rows)
    return Exp3S(OBSERVATIONS, space, **({"seed": 0} | settings))


def act(agent):
    return agent.act(NOTHING, {})


def percentile(ordered, share):
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] * (1 - (place - below)) + ordered[above] * (place - below)


def scaled(reward, past):
    """Equation 6 on all rewards so far, this one included."""
    past.append(reward)
    past.sort()
    low, high = percentile(past, 0.2), percentile(past, 0.8)
    if reward < low or reward > high:
        return -1.0 if reward < low else 1.0
    return 2 * (reward - low) / (high - low) - 1 if low < high else 0.0


def distributions(omega, epsilon):
    largest = max(omega)
    weights = [exp(each - largest) for each in omega]
    rho = [each / sum(weights) for each in weights]
    return rho, [(1 - epsilon) * each + epsilon / len(rho) for each in rho]


def updated(omega, t, action, reward, agent):
    """Equation 5, term by term: omega of round t from that of round t - 1."""
    rho, pi = distributions(omega, agent.epsilon)
    shares = rho if agent.importance == "rho" else pi
    estimates = [reward / shares[k] if k == action else 0.0 for k in range(len(omega))]
    grown = [each + agent.eta * gain for each, gain in zip(omega, estimates, strict=True)]
    largest, alpha = max(grown), 1 / t
    powers = [exp(each - largest) for each in grown]
    others = [sum(powers[:k]) + sum(powers[k + 1 :]) for k in range(len(omega))]
    return [
        largest + log((1 - alpha) * power + alpha / (len(omega) - 1) * rest)
        for power, rest in zip(powers, others, strict=True)
    ]


def centred(omega):
    return np.asarray(omega) - np.mean(omega, axis=-1, keepdims=True)


@pytest.mark.parametrize("importance", IMPORTANCE)
def test_ten_thousand_rounds_follow_equations_5_and_6(importance):
    agent = make(importance=importance, reservoir=10_000)
    rng, omega = np.random.default_rng(1), [0.0] * 5
    past: list[float] = []
    for t in range(2, 10_002):
        action = act(agent)
        reward = float(rng.normal(action * np.sin(t / 1000), 1 + action))
        learn(agent, action, reward)
        omega = updated(omega, t, action, scaled(reward, past), agent)
        if t % 50 == 0:
            assert_allclose(centred(agent.omega), centred(omega), rtol=0, atol=1e-10)
            rho, pi = distributions(omega, agent.epsilon)
            assert_allclose(agent.rho, rho, rtol=0, atol=1e-10)
            assert_allclose(agent.probabilities, pi, rtol=0, atol=1e-10)
    assert np.ptp(centred(omega)) > 0.1  # it did learn something


def test_first_update_mixes_half_of_the_other_arms_weights_in():
    agent = make(arms=3, eta=0.3, scale=False)
    learn(agent, 1, 2.0)
    grown = exp(0.3 * 2.0 * 3)
    expected = np.array([0.5 + (1 + grown) / 4, grown / 2 + (1 + 1) / 4, 0.5 + (1 + grown) / 4])
    assert_allclose(agent.rho, expected / expected.sum(), rtol=1e-14)


@pytest.mark.parametrize("importance", IMPORTANCE)
def test_many_bandits_at_once_are_as_many_bandits_alone(importance):
    settings = {"eta": 0.05, "importance": importance}
    many, alone = make(8, 3, **settings), [make(8, **settings) for _ in range(3)]
    rng = np.random.default_rng(2)
    for _ in range(1000):  # until the reservoirs are full
        actions, rewards = rng.integers(8, size=3), rng.normal(size=3)
        learn(many, actions, rewards)
        for agent, action, reward in zip(alone, actions.tolist(), rewards.tolist(), strict=True):
            learn(agent, action, reward)
        expected = [agent.probabilities for agent in alone]
        assert_allclose(many.probabilities, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("importance", IMPORTANCE)
@pytest.mark.parametrize("rows", [None, 2])
def test_probabilities_stay_proper_whatever_the_rewards(importance, rows):
    agent = make(4, rows, eta=10.0, importance=importance, scale=False)
    rng = np.random.default_rng(3)
    for size in (1e-300, 1.0, 1e10, 1e300, 1e300, 1.7e308):
        for _ in range(100):
            action, sign = act(agent), rng.choice([-1.0, 0.0, 1.0])
            learn(agent, action, float(sign * size) if rows is None else np.full(rows, sign * size))
            pi = agent.probabilities
            assert np.all(pi >= 0.05 / 4)
            assert_allclose(pi.sum(-1), 1, rtol=1e-14)
            assert np.all(agent.rho > 0)
            assert np.isfinite(agent.omega).all()


@pytest.mark.parametrize("rows", [None, 2])
def test_adding_a_constant_to_omega_changes_nothing(rows):
    one, two = make(5, rows, eta=0.1, seed=1), make(5, rows, eta=0.1, seed=2)
    rng = np.random.default_rng(4)
    rewards = rng.normal(size=(400,) if rows is None else (400, rows))
    for reward in rewards[:100]:
        learn(one, act(one), reward)
    for constant in (3.0, 500.0, -500.0):
        state = one.state_dict()
        two.load_state_dict(state | {"weights": state["weights"] * exp(constant)})
        assert_allclose(two.omega, one.omega + constant, rtol=1e-12)
        for reward in rewards[100:200]:
            action = act(one)
            assert_array_equal(act(two), action)
            learn(one, action, reward)
            learn(two, action, reward)
            assert_allclose(two.probabilities, one.probabilities, rtol=1e-12)


@pytest.mark.parametrize("rows", [None, 2])
def test_units_and_origin_of_the_rewards_change_nothing(rows):
    maps = (lambda r: r, lambda r: r * 2.0**-40, lambda r: r * 2.0**900, lambda r: 3 * r - 7)
    agents = [make(5, rows, eta=0.1, reservoir=50) for _ in maps]
    rng = np.random.default_rng(5)
    for reward in rng.normal(size=(400,) if rows is None else (400, rows)):
        action = [act(agent) for agent in agents]
        for agent, change in zip(agents, maps, strict=True):
            learn(agent, action[0], change(reward))
    first, *exact, shifted = [agent.probabilities for agent in agents]
    for probabilities in exact:
        assert_array_equal(probabilities, first)
    assert_allclose(shifted, first, rtol=1e-9)


@pytest.mark.parametrize("rows", [None, 1])
def test_estimates_by_pi_are_unbiased_and_bounded(rows):
    agent, reward = make(4, rows, eta=1e-3, importance="pi", scale=False), -0.7
    state = agent.state_dict()
    state["weights"] = np.array([[1e-6, 1e-3, 0.2, 0.8]])
    state["seen"] = 10**15  # so that nothing is mixed
    for action in range(4):
        agent.load_state_dict(state)
        pi, before = agent.probabilities.ravel()[action], agent.omega.ravel()
        learn(
            agent, *((action, reward) if rows is None else (np.array([action]), np.array([reward])))
        )
        moved = agent.omega.ravel() - before
        estimate = (moved[action] - moved[action - 1]) / agent.eta
        assert pi * estimate == pytest.approx(reward, rel=1e-6)  # the mean over draws of the arm
        assert abs(estimate) <= 4 / agent.epsilon


def test_estimates_by_rho_are_the_texts():
    agent = make(4, eta=0.5, scale=False)
    state = agent.state_dict() | {"weights": np.array([[0.001, 0.1, 0.2, 0.699]]), "seen": 10**15}
    agent.load_state_dict(state)
    before = agent.omega
    learn(agent, 0, 0.01)
    moved = agent.omega - before
    assert moved[0] - moved[1] == pytest.approx(0.5 * 0.01 / 0.001, rel=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_actions_are_drawn_from_the_probabilities(form):
    agent = Exp3S(OBSERVATIONS, FORMS[form], seed=6, eta=0.1, epsilon=0.3)
    rng = np.random.default_rng(6)
    for _ in range(200):
        action = act(agent)
        learn(agent, action, rng.normal(action))
    drawn = np.stack([act(agent) for _ in range(10_000)]).reshape(10_000, -1)
    for row, pi in enumerate(np.atleast_2d(agent.probabilities)):
        counts = np.bincount(drawn[:, row], minlength=5)
        assert stats.chisquare(counts, 10_000 * pi).pvalue > 1e-3
        assert np.ptp(pi) > 0.1


def test_sizes_of_spaces_and_settings_are_checked():
    with pytest.raises(ValueError, match="Did you mean 'rho'"):
        make(importance="roh")
    for settings in ({"eta": -1.0}, {"epsilon": 1.5}, {"reservoir": 0}):
        with pytest.raises(ValueError, match=f"`{next(iter(settings))}` must"):
            make(**settings)


@pytest.mark.parametrize("rows", [None, 2])
def test_equal_rewards_teach_nothing(rows):
    agent = make(3, rows, eta=1.0)
    for _ in range(50):
        learn(agent, act(agent), 0.1 if rows is None else np.full(rows, 0.1))
    assert_allclose(agent.probabilities, np.full_like(agent.probabilities, 1 / 3), rtol=1e-12)


def test_where_percentiles_coincide_other_rewards_are_at_the_ends():
    reservoir = Reservoir(100, [0.1] * 99)
    assert [reservoir.scaled(reward) for reward in (0.0, 0.1, 0.2)] == [-1, 0, 1]


def test_percentiles_are_numpys():
    reservoir, rng = Reservoir(37, []), np.random.default_rng(7)
    for seen in range(1, 300):
        reservoir.take(float(rng.normal()), seen, float(rng.random()))
        assert list(reservoir.kept) == sorted(reservoir.kept)
        assert len(reservoir.kept) == min(seen, 37)
        expected = np.percentile(reservoir.kept, [20, 80])
        assert_allclose([reservoir.low, reservoir.high], expected, rtol=1e-14, atol=1e-15)


def test_rows_of_reservoirs_scale_as_each_would():
    many, rng = Reservoirs(4, 20), np.random.default_rng(8)
    for _ in range(100):
        rewards = rng.normal(size=4).round(1)  # some are equal
        found = many.scaled(rewards, rng)
        alone = [Reservoir(20, kept.tolist()) for kept in many.kept()]
        expected = [each.scaled(r) for each, r in zip(alone, rewards.tolist(), strict=True)]
        assert_array_equal(found, expected)


def is_uniform(included, size):
    """Whether counts of inclusions, of (samples, items), fit samples without replacement."""
    samples, items = included.shape
    share = size / items
    variance = samples * share * (1 - share) * items / (items - 1)
    squares = ((included.sum(0) - samples * share) ** 2).sum()
    return stats.chi2.sf(squares / variance, items - 1) > 1e-3


@pytest.mark.parametrize("rows", [None, 1000])
def test_reservoir_is_a_uniform_sample_of_the_rewards(rows):
    seeds = range(500) if rows is None else range(1)
    kept = []
    for seed in seeds:
        agent = make(2, rows, reservoir=5, seed=seed)
        for item in range(40):
            action, reward = (1, float(item)) if rows is None else (np.ones(rows, int), item)
            learn(agent, action, reward if rows is None else np.full(rows, float(item)))
        kept.append(agent.state_dict()["kept"])
    included = (np.concatenate(kept)[:, :, None] == np.arange(40)).any(1)
    assert np.all(included.sum(1) == 5)
    assert is_uniform(included, 5)
