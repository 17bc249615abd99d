"""The policy that lets arms rest, on a bandit whose arms fill up and forget."""

import numpy as np
import pytest
from gymnasium import spaces

from mtlgym.agents import Oracle, Resting, UniformRandom
from tests.agents.bandits.choices import NOTHING, OBSERVATIONS, learn

ARMS = 8


class Bandits:
    """Section 4.1 of Glover and Hokamp (2019), one bandit a row."""

    def __init__(self, seeds, steps=10_000):
        drawn = [np.random.default_rng(seed) for seed in seeds]
        self.oracle = np.stack([rng.dirichlet(np.full(ARMS, 2.0)) for rng in drawn])
        self.most = np.stack([rng.uniform(0.5, 1, ARMS) for rng in drawn])
        self.learnt = self.most / (steps * self.oracle)
        self.forgotten = np.stack([rng.uniform(0, 0.01, ARMS) for rng in drawn]) * self.learnt
        self.steps, self.space = steps, spaces.MultiDiscrete([ARMS] * len(drawn))

    def final(self, agent, noise=0.0, seed=0):
        """Mean scores at the end, (rows,), of an agent that is told prediction gains."""
        score, rows = np.zeros_like(self.oracle), np.arange(len(self.oracle))
        rng, info = np.random.default_rng(seed), {"oracle": self.oracle}
        for _ in range(self.steps):
            arms = agent.act(NOTHING, info)
            before = score[rows, arms]
            score[rows, arms] = np.minimum(before + self.learnt[rows, arms], self.most[rows, arms])
            score = np.maximum(score - self.forgotten, 0)
            gains = score[rows, arms] - before
            learn(agent, arms, gains + noise * rng.normal(size=len(rows)))
        return score.mean(1)


def make(arms, rows=None, **settings):
    space = spaces.Discrete(arms) if rows is None else spaces.MultiDiscrete([arms] * rows)
    return Resting(OBSERVATIONS, space, **settings)


def test_it_closes_more_than_the_gap_between_uniform_and_oracle():
    bandits = Bandits(range(2000, 2020))
    agents = [
        kind(OBSERVATIONS, bandits.space, seed=0) for kind in (UniformRandom, Oracle, Resting)
    ]
    uniform, oracle, resting = (bandits.final(agent) for agent in agents)
    assert np.all(resting > oracle)
    assert np.median((resting - uniform) / (oracle - uniform)) > 1.35


def test_it_bears_a_little_noise():
    bandits = Bandits(range(2000, 2010), steps=2000)
    agents = [kind(OBSERVATIONS, bandits.space, seed=0) for kind in (UniformRandom, Resting)]
    uniform, resting = (bandits.final(agent, noise=5e-4) for agent in agents)
    assert np.mean(resting) > np.mean(uniform) + 0.03


def arms_of(agent, gains, steps):
    """What is pulled where arm k gains `gains[k](pull)`."""
    pulled: list[int] = []
    for _ in range(steps):
        arm = agent.act(NOTHING, {})
        learn(agent, arm, float(gains[arm](pulled.count(arm))))
        pulled.append(arm)
    return pulled


def test_arms_are_filled_one_by_one_and_then_rest():
    gains = (lambda n: 1.0 * (n < 5), lambda n: 2.0 * (n < 5), lambda n: 0.5 * (n < 60))
    pulled = arms_of(make(3), gains, 60)
    assert pulled[:3] == [0, 1, 2]
    assert pulled[3:7] == [1] * 4
    assert set(pulled[7:16]) == {0, 1, 2}  # arm 1 is tried again, arm 2 fills the gap
    assert pulled[-40:].count(2) >= 34
    assert pulled.count(0) <= 10
    assert pulled.count(1) <= 10


def test_rests_settle_where_a_pull_brings_the_chosen_share_of_a_gain():
    agent, score, last, gained = make(2, fill=0.8), 1.0, 0, []
    learn(agent, 0, 1.0)
    for step in range(1, 4000):  # arm 0 is full and forgets 1/50 a step; arm 1 gains 0.1 for ever
        arm = agent.act(NOTHING, {})
        if arm == 1:
            learn(agent, 1, 0.1)
            continue
        score, last = min(1.0, (step - last) / 50), step
        gained.append(score)
        learn(agent, 0, score)
    assert np.mean(gained[-20:]) == pytest.approx(0.8, abs=0.03)


def test_an_arm_that_gains_anew_is_free_in_the_end():
    agent = make(2)
    arms_of(agent, (lambda n: float(n < 3), lambda n: 0.1), 200)
    pulled = arms_of(agent, (lambda n: 1.0, lambda n: 0.1), 1500)
    assert pulled[-50:] == [0] * 50


@pytest.mark.parametrize("rows", [None, 4])
@pytest.mark.parametrize("centre", [-1.0, 0.0, 1.0])
def test_stationary_noise_starves_no_arm(rows, centre):
    agent, rng = make(3, rows), np.random.default_rng(0)
    pulled = []
    for _ in range(3000):
        arms = agent.act(NOTHING, {})
        learn(
            agent, arms, float(rng.normal(centre)) if rows is None else rng.normal(centre, size=4)
        )
        pulled.append(arms)
    counts = (np.array(pulled)[..., None] == np.arange(3)).sum(0)
    assert np.all(counts > 5)


def test_where_all_arms_rest_the_one_due_first_is_pulled():
    agent = make(3)
    pulled = arms_of(agent, [lambda n: 0.0] * 3, 30)
    assert sorted(pulled[:3]) == [0, 1, 2]
    assert all(pulled.count(arm) >= 5 for arm in range(3))
