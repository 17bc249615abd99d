"""Off-policy estimators and the sums that they are computed from."""

import numpy as np
import pytest

from mtlgym.agents.off_policy.estimators import (
    ESTIMATORS,
    effective_sample_size,
    evaluate,
    ips,
    snips,
    standard_error,
    wis,
)
from mtlgym.agents.off_policy.logged_sums import LoggedSums
from tests.agents.off_policy.logged import POLICIES, logged, sums_of, written

VALUED = [[1 / 3, 1 / 3, 1 / 3], [0.9, 0.09, 0.01], [0.0, 1.0, 0.0]]


def importance(policy, actions, propensities):
    return [policy[a] / p for a, p in zip(actions, propensities, strict=True)]


@pytest.mark.parametrize("policy", VALUED)
def test_estimates_are_the_papers_sums_over_the_logs_of_two_policies(policy, tmp_path):
    actions, propensities, rewards = logged(np.random.default_rng(0), POLICIES, 300)
    weights = importance(policy, actions, propensities)
    products = [w * r for w, r in zip(weights, rewards, strict=True)]
    expected_ips = sum(products) / len(products)  # eq. 10
    expected_wis = expected_ips / (sum(weights) / len(weights))  # eq. 11
    parts = [
        written(tmp_path / f"{k}.log", *(each[300 * k : 300 * (k + 1)] for each in log))
        for k, log in enumerate([(actions, propensities, rewards)] * 2)
    ]
    added = LoggedSums.of(parts[0]) + LoggedSums.of(parts[1])
    for sums in (sums_of(actions, propensities, rewards), LoggedSums.of(parts), added):
        assert sums.count == 600
        assert evaluate(sums, policy, "ips") == pytest.approx(expected_ips, rel=1e-12)
        assert evaluate(sums, policy) == pytest.approx(expected_wis, rel=1e-12)
        assert evaluate(sums, policy, "snips") == evaluate(sums, policy, "wis")


def test_several_policies_are_valued_at_once():
    sums = sums_of(*logged(np.random.default_rng(1), POLICIES, 100))
    for estimator in ESTIMATORS:
        expected = [evaluate(sums, policy, estimator) for policy in VALUED]
        np.testing.assert_allclose(evaluate(sums, VALUED, estimator), expected, rtol=1e-14)
    singly = [standard_error(sums, policy) for policy in VALUED]
    np.testing.assert_allclose(standard_error(sums, VALUED), singly, rtol=1e-12)
    singly = [effective_sample_size(sums, policy) for policy in VALUED]
    np.testing.assert_allclose(effective_sample_size(sums, VALUED), singly, rtol=1e-12)


def test_importance_sampling_has_no_bias():
    rng = np.random.default_rng(2)
    table, policy = rng.normal(size=(4, 3)), np.array([0.6, 0.3, 0.1])  # reward of step and arm
    behind = rng.dirichlet(np.ones(3), size=4)  # the logging policy changes in each step
    expected = 0.0
    for actions in np.ndindex(3, 3, 3, 3):
        chances = [behind[t, a] for t, a in enumerate(actions)]
        sums = sums_of(actions, chances, [table[t, a] for t, a in enumerate(actions)])
        expected += np.prod(chances) * ips(sums, policy)
    assert expected == pytest.approx((table @ policy).mean(), rel=1e-12)


def spread(rng, policy, decisions, runs):
    """Estimates and standard errors of many logs, made as by `logged`."""
    sums = LoggedSums(3, rows=runs)
    for _ in range(decisions):
        actions = rng.choice(3, size=runs, p=POLICIES[1])
        sums.add(actions, POLICIES[1][actions], rng.normal(size=runs) + actions)
    found = [
        (wis(each, policy), standard_error(each, policy)) for each in map(sums.row, range(runs))
    ]
    return np.array(found).T


def test_weighted_importance_sampling_is_consistent_and_its_error_is_as_estimated():
    policy, truth = np.array([0.1, 0.2, 0.7]), 0 * 0.1 + 1 * 0.2 + 2 * 0.7
    values, errors = spread(np.random.default_rng(3), policy, 200, 1000)
    assert values.mean() == pytest.approx(truth, abs=0.02)
    assert errors.mean() == pytest.approx(values.std(), rel=0.1)
    inside = np.abs(values - truth) < 1.96 * errors
    assert inside.mean() == pytest.approx(0.95, abs=0.03)
    more, _ = spread(np.random.default_rng(4), policy, 3200, 200)
    assert more.std() == pytest.approx(values.std() / 4, rel=0.2)
    assert more.mean() == pytest.approx(truth, abs=4 * more.std() / np.sqrt(200))


def test_spread_is_that_of_the_formulas_over_the_log():
    actions, propensities, rewards = logged(np.random.default_rng(4), POLICIES, 200)
    sums, policy = sums_of(actions, propensities, rewards), [0.5, 0.2, 0.3]
    weights = np.array(importance(policy, actions, propensities))
    size = weights.sum() ** 2 / (weights**2).sum()
    assert effective_sample_size(sums, policy) == pytest.approx(size, rel=1e-12)
    value = (weights * rewards).sum() / weights.sum()
    error = np.sqrt((weights**2 * (rewards - value) ** 2).sum()) / weights.sum()
    assert standard_error(sums, policy) == pytest.approx(error, rel=1e-9)


def test_a_policys_own_decisions_all_count():
    actions, _, rewards = logged(np.random.default_rng(5), POLICIES[1:], 50)
    sums = sums_of(actions, POLICIES[1][actions], rewards)
    assert effective_sample_size(sums, POLICIES[1]) == pytest.approx(50, rel=1e-12)
    assert evaluate(sums, POLICIES[1]) == pytest.approx(rewards.mean(), rel=1e-12)


def test_equal_rewards_are_the_value_of_every_policy_by_the_weighted_estimate():
    actions, propensities, _ = logged(np.random.default_rng(6), POLICIES, 30)
    sums = sums_of(actions, propensities, np.full(60, 0.75))
    assert snips(sums, np.array(VALUED)) == pytest.approx(0.75, rel=1e-12)
    assert standard_error(sums, VALUED) == pytest.approx(0, abs=1e-8)


def test_rows_add_up_like_sums_of_their_own():
    rng = np.random.default_rng(7)
    rows, single = LoggedSums(4, rows=3), [LoggedSums(4) for _ in range(3)]
    for _ in range(50):
        actions, propensities = rng.integers(0, 4, 3), 1 - rng.random(3)
        rewards, counted = rng.normal(size=3), rng.random(3) < 0.7
        rows.add(actions, propensities, rewards, counted=counted)
        for row in np.flatnonzero(counted).tolist():
            single[row].add(actions[row], propensities[row], rewards[row])
    for row, expected in enumerate(single):
        np.testing.assert_array_equal(rows.row(row).moments, expected.moments)
        assert rows.row(row).count == expected.count
    rows.clear(1)
    assert not rows.row(1).moments.any()
    assert rows.count.tolist() == [single[0].count, 0, single[2].count]


def test_a_policy_beyond_what_was_logged_is_refused_by_the_arms_name(tmp_path):
    path = written(tmp_path / "a.log", [0, 0], [0.5, 0.5], [1.0, 2.0], tasks=("x", "y", "z"))
    sums = LoggedSums.of(path)
    assert evaluate(sums, [1.0, 0.0, 0.0]) == 1.5
    for measure in (evaluate, standard_error, effective_sample_size):
        with pytest.raises(ValueError, match=r"`policy` may choose arm 2 \(z\), which no logged"):
            measure(sums, [[1.0, 0.0, 0.0], [0.5, 0.0, 0.5]])


@pytest.mark.parametrize("policy", [[0.5, 0.5], [0.5, 0.6, -0.1], [0.5, 0.5, 0.5], [np.nan] * 3])
def test_what_is_no_distribution_has_no_value(policy):
    sums = sums_of([0, 1, 2], [0.5] * 3, [1.0] * 3)
    with pytest.raises(ValueError, match="`policy` must be 3 probabilities that sum to 1"):
        evaluate(sums, policy)


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        ((3, 0.5, 1.0), "`action`"),
        ((0.0, 0.5, 1.0), "`action`"),
        ((0, 0.0, 1.0), "`propensity`"),
        ((0, 0.5, np.nan), "`reward`"),
        ((0, 1e-200, 1.0), "`propensity` is too small"),
        ((np.array([0, 1]), 0.5, 1.0), r"`action` must have the shape \(\), not \(2,\)"),
    ],
)
def test_decisions_out_of_range_are_not_added(decision, message):
    sums = LoggedSums(3)
    with pytest.raises(ValueError, match=message):
        sums.add(*decision)
    assert sums.count == 0
    assert not sums.moments.any()


def test_sums_over_other_arms_are_not_added():
    for other in (LoggedSums(4), LoggedSums(3, rows=2), LoggedSums(3, tasks=("a", "b", "d"))):
        with pytest.raises(ValueError, match="cannot be added"):
            LoggedSums(3, tasks=("a", "b", "c")) + other
    assert (LoggedSums(3, tasks=("a", "b", "c")) + LoggedSums(3)).tasks == ("a", "b", "c")
