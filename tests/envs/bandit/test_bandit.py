"""One multi-task bandit, against a transcription of its definition."""

import numpy as np
import pytest

from mtlgym.envs.bandit.arms import BanditOptions
from mtlgym.envs.bandit.env import BanditEnv
from tests.envs.bandit.pulls import random_actions, run, same

OPTIONS = [
    {},
    {"reward": "improvement", "steps": 60},
    {"arms": 1, "steps": 40},
    {"arms": 3, "oracle": [0.2, 0.3, 0.5], "steps": 50, "forget": (0.3, 0.9)},
    {"arms": 19, "steps": 70, "max_p": (0.9, 0.9), "forget": (0.5, 3.0), "alpha": 0.1},
]


def definition(env, actions):
    """The steps' scores, observations and rewards, by the words of the paper and nothing else."""
    arms, budget, steps = range(len(env.oracle)), env.budget, []
    score, seen, last = [0.0 for _ in arms], [0.0 for _ in arms], [0 for _ in arms]
    for t, k in enumerate(actions, start=1):
        before = score[k]
        score[k] = min(score[k] + env.max_p[k] / (budget * env.oracle[k]), env.max_p[k])
        for j in arms:
            score[j] = max(score[j] - env.forget_increment[j], 0.0)
        seen[k], last[k] = score[k], t
        gain = score[k] - before
        improvement = 1 - score[k] if score[k] > before else 0.0
        rewards = {"prediction_gain": gain, "improvement": improvement}
        observation = [*seen, *((t - last[j]) / budget for j in arms), t / budget]
        steps.append((np.array(score), np.array(observation), rewards))
    return steps


@pytest.mark.parametrize("options", OPTIONS)
def test_a_step_does_what_the_paper_says(options):
    env = BanditEnv(**options)
    start, info = env.reset(seed=1)
    assert not start.any()
    np.testing.assert_array_equal(info["oracle"], env.oracle)
    actions = random_actions(env, min(env.budget, 300))
    for t, (found, expected) in enumerate(
        zip(run(env, actions), definition(env, actions), strict=True), start=1
    ):
        observation, reward, terminated, truncated, info = found
        score, observed, rewards = expected
        np.testing.assert_allclose(info["score"], score, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(observation, observed, rtol=1e-6)
        assert observation in env.observation_space
        assert (observation.dtype, type(reward)) == (np.float32, float)
        assert info["mean_score"] == pytest.approx(score.mean(), rel=1e-13)
        for name, value in rewards.items():
            assert info[name] == pytest.approx(value, rel=1e-9, abs=1e-13)
        assert reward == info[options.get("reward", "prediction_gain")]
        assert (terminated, truncated, info["step"]) == (False, t == env.budget, t)
    assert env.is_open is (env.budget > 300)


@pytest.mark.parametrize("options", [{}, {"max_p": (0.2, 0.3), "forget": (0.1, 0.4), "arms": 5}])
def test_drawn_parameters_lie_in_their_ranges_and_fill_them(options):
    env = BanditEnv(**options)
    shares, drawn = BanditOptions(**options), []
    for seed in range(200):
        env.reset(seed=seed)
        drawn.append([env.max_p, env.forget_increment / env.learning_increment, env.oracle])
    max_p, forgotten, oracle = np.swapaxes(drawn, 0, 1)
    for values, (low, high) in ((max_p, shares.max_p), (forgotten, shares.forget)):
        assert low <= values.min() * (1 + 1e-12) and values.max() <= high * (1 + 1e-12)
        assert values.mean() == pytest.approx((low + high) / 2, rel=0.05)
        assert values.std() == pytest.approx((high - low) / 12**0.5, rel=0.1)
    arms, concentration = shares.arms, 2.0 * shares.arms
    np.testing.assert_allclose(oracle.sum(axis=1), 1, rtol=1e-12)
    variance = (arms - 1) / arms**2 / (concentration + 1)  # of Dirichlet(2, ..., 2)
    assert oracle.var(axis=0).mean() == pytest.approx(variance, rel=0.15)


def test_pulls_in_proportion_to_the_oracle_reach_the_largest_scores():
    env = BanditEnv(steps=2000, oracle=[0.05, 0.15, 0.25, 0.55], arms=4, forget=(0.0, 0.0))
    env.reset(seed=0)
    counts = np.round(2000 * env.oracle).astype(int)
    steps = run(env, np.repeat(np.arange(4), counts).tolist())
    assert steps[-1][3]
    np.testing.assert_allclose(steps[-1][4]["score"], env.max_p, rtol=1e-9)


def test_a_full_score_gains_nothing_and_a_forgotten_one_stays_at_0():
    env = BanditEnv(arms=2, steps=4, oracle=[0.75, 0.25], max_p=(0.8, 0.8), forget=(0.5, 0.5))
    env.reset(seed=0)
    steps = run(env, [1, 1, 0, 1])  # LI = (4/15, 4/5), FI = (2/15, 2/5)
    assert [step[1] for step in steps] == pytest.approx([0.4, 0.0, 2 / 15, 0.4])
    rose = [info["improvement"] for *_, info in steps]
    assert rose == pytest.approx([0.6, 0.0, 1 - 2 / 15, 0.6])
    assert steps[1][1] == steps[1][4]["improvement"] == 0.0  # and not a rounding error
    np.testing.assert_array_equal(steps[1][4]["score"] > 0, [False, True])
    np.testing.assert_allclose(steps[2][4]["score"], [2 / 15, 0.0], atol=1e-15)


@pytest.mark.parametrize("forget", [(0.0, 0.01), (0.0, 0.9), (1.0, 3.0)])
def test_a_pull_never_lowers_its_arm(forget):
    env = BanditEnv(steps=3000, forget=forget)
    env.reset(seed=0)
    gains = np.array([step[1] for step in run(env, random_actions(env, 3000))])
    assert gains.min() >= 0  # the score lies FI below MaxP at most, which is where a pull ends
    assert gains.any() == (forget[0] < 1)  # else all that is learnt is forgotten at once


def test_a_seed_draws_the_bandit_and_a_reset_without_one_keeps_it():
    env, other = BanditEnv(), BanditEnv()
    first, again = env.reset(seed=3), other.reset(seed=3)
    assert same(first, again)
    actions = random_actions(env, 50)
    steps = run(env, actions)
    oracle = env.oracle
    assert same(env.reset(), first)
    np.testing.assert_array_equal(env.oracle, oracle)
    assert all(map(same, run(env, actions), steps))
    env.reset(seed=4)
    assert not np.array_equal(env.oracle, oracle)
    assert not np.array_equal(env.max_p, other.max_p)


def test_without_any_seed_bandits_differ():
    one, two = BanditEnv(), BanditEnv()
    one.reset()
    two.reset()
    assert not np.array_equal(one.oracle, two.oracle)


def test_a_given_oracle_leaves_the_other_parameters_of_a_seed():
    drawn, given = BanditEnv(), BanditEnv(oracle=np.full(8, 0.125))
    drawn.reset(seed=5)
    given.reset(seed=5)
    np.testing.assert_array_equal(drawn.max_p, given.max_p)
    np.testing.assert_array_equal(given.oracle, np.full(8, 0.125))
    nearly = BanditEnv(arms=2, oracle=(0.5000002, 0.5000002))
    nearly.reset(seed=0)
    np.testing.assert_array_equal(nearly.oracle, [0.5, 0.5])
