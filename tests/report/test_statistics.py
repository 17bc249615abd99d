"""Aggregates over runs and environments: closed forms, brute force, scipy, and coverage."""

import itertools

import numpy as np
import pytest
from scipy import stats

from mtlgym.report.statistics import (
    STATISTICS,
    estimate,
    interquartile_mean,
    mean,
    median,
    performance_profile,
    probability_of_improvement,
    scores_of,
)

TABLE = [[1.0, 2.0, 6.0], [10.0, 20.0], [0.0, 0.0, 0.0, 4.0, 100.0]]


def rng(seed=0):
    return np.random.default_rng(seed)


def brute_force(mine, other):
    """Over all pairs, a tie half, higher better."""
    pairs = list(itertools.product(mine, other))
    return sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)


def test_statistics_are_their_closed_forms():
    scores = scores_of(TABLE)
    assert mean(scores) == pytest.approx((3 + 15 + 20.8) / 3)
    assert median(scores) == pytest.approx(15)
    # ten runs: two are left out at either end of 0 0 0 1 2 4 6 10 20 100
    assert interquartile_mean(scores) == pytest.approx((0 + 1 + 2 + 4 + 6 + 10) / 6)


def test_the_middle_half_ignores_how_far_out_the_outer_runs_are():
    far = scores_of([[-1e9, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 1e9]])
    assert interquartile_mean(far) == pytest.approx(2.0)
    assert abs(mean(far)) > 0.1 or mean(far) == pytest.approx(1.5)


def test_a_matrix_has_its_environments_in_columns():
    matrix = np.array([[1.0, 10.0], [3.0, 30.0], [5.0, 50.0]])
    assert [each.tolist() for each in scores_of(matrix)] == matrix.T.tolist()


@pytest.mark.parametrize("table", [[], [[1.0], []], [[1.0, np.nan]], [[[1.0]]]])
def test_scores_without_runs_or_numbers_are_refused(table):
    with pytest.raises(ValueError, match="`table`"):
        scores_of(table)


@pytest.mark.parametrize("name", STATISTICS)
def test_a_statistic_of_draws_is_that_of_each_draw(name):
    batch = [rng(k).normal(size=(7, k + 2)) for k in range(3)]
    together = STATISTICS[name](batch)
    apart = [STATISTICS[name]([each[k] for each in batch]) for k in range(7)]
    np.testing.assert_allclose(together, apart)


@pytest.mark.parametrize("name", STATISTICS)
def test_the_interval_of_one_stratum_is_scipys(name):
    runs = rng(1).gamma(2.0, size=40)
    ours = estimate([runs], STATISTICS[name], rng(2), draws=20000)
    theirs = stats.bootstrap(
        (runs,),
        lambda x, axis: STATISTICS[name]([x]),
        method="percentile",
        n_resamples=20000,
        rng=rng(3),
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.05 * width)
    assert ours.value == pytest.approx(float(STATISTICS[name]([runs])))


def test_runs_are_drawn_within_their_environment():
    """Strata that are constant have an interval of no width, however far apart they are."""
    scores = scores_of([[0.0, 0.0, 0.0], [100.0, 100.0]])
    found = estimate(scores, mean, rng())
    assert (found.value, found.low, found.high) == (50.0, 50.0, 50.0)


def test_the_interval_of_the_mean_covers_it():
    """With 30 normal runs in each of two environments, 95 % in the limit of many runs."""
    source, covered = rng(5), 0
    for _ in range(400):
        scores = [source.normal(1.0, 1.0, 30), source.normal(3.0, 2.0, 30)]
        found = estimate(scores, mean, source, draws=400)
        covered += found.low <= 2.0 <= found.high
    assert 0.90 <= covered / 400 <= 0.98


def test_a_lower_level_gives_a_narrower_interval():
    scores = scores_of(TABLE)
    wide, narrow = (estimate(scores, mean, rng(), level=level) for level in (0.95, 0.5))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_the_same_generator_gives_the_same_interval_and_another_gives_another():
    scores, thresholds = scores_of(TABLE), np.linspace(0, 10, 5)
    first, same, other = (estimate(scores, mean, rng(seed)) for seed in (0, 0, 1))
    assert first == same
    assert first != other
    first, same, other = (
        probability_of_improvement(scores, scores[::-1], rng(seed)) for seed in (0, 0, 1)
    )
    assert first == same
    assert first != other
    profiles = [performance_profile(scores, thresholds, rng(seed)) for seed in (0, 0, 1)]
    bands = [[*each.low, *each.high] for each in profiles]
    assert bands[0] == bands[1]
    assert bands[0] != bands[2]


def test_the_generator_is_used_and_no_other():
    source = rng()
    before = source.bit_generator.state["state"]["state"]
    estimate(scores_of(TABLE), mean, source)
    assert source.bit_generator.state["state"]["state"] != before


def test_a_single_run_has_a_value_and_no_interval():
    scores = scores_of([[1.0, 2.0], [5.0]])
    found = estimate(scores, mean, rng())
    assert found.value == 3.25
    assert np.isnan([found.low, found.high]).all()
    assert np.isnan(performance_profile(scores, np.array([2.0]), rng()).low).all()
    assert np.isnan(probability_of_improvement(scores, scores, rng()).high)


@pytest.mark.parametrize("higher", [True, False])
def test_a_profile_is_the_share_of_runs_that_are_better(higher):
    thresholds = np.array([-1.0, 0.0, 4.0, 15.0, 100.0])
    found = performance_profile(scores_of(TABLE), thresholds, rng(), higher_is_better=higher)
    for tau, share, low, high in zip(thresholds, found.share, found.low, found.high, strict=True):
        counts = [
            sum(score > tau if higher else score < tau for score in runs) / len(runs)
            for runs in TABLE
        ]
        assert share == pytest.approx(sum(counts) / 3)
        assert 0 <= low <= share <= high <= 1


@pytest.mark.parametrize("higher", [True, False])
def test_the_probability_of_improvement_is_that_over_all_pairs(higher):
    mine = [[1.0, 2.0, 2.0, 7.0], [0.0, 5.0]]
    other = [[2.0, 2.0, 3.0], [5.0, 5.0, 1.0, 0.0]]
    found = probability_of_improvement(
        scores_of(mine), scores_of(other), rng(), higher_is_better=higher
    )
    expected = np.mean([brute_force(a, b) for a, b in zip(mine, other, strict=True)])
    assert found.value == pytest.approx(expected if higher else 1 - expected)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_the_probability_of_improvement_is_one_half_of_equals_and_one_of_the_better():
    same = scores_of([[3.0, 3.0], [4.0, 4.0]])
    better = [each + 1 for each in same]
    found = probability_of_improvement(same, same, rng())
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)
    assert probability_of_improvement(better, same, rng()).low == 1.0
    assert probability_of_improvement(better, same, rng(), higher_is_better=False).high == 0.0


def test_other_environments_levels_and_draws_are_refused():
    scores = scores_of(TABLE)
    with pytest.raises(ValueError, match="same environments, not 3 and 2"):
        probability_of_improvement(scores, scores[:2], rng())
    with pytest.raises(ValueError, match="`level` must be between 0 and 1, not 1"):
        estimate(scores, mean, rng(), level=1.0)
    with pytest.raises(ValueError, match="`draws`"):
        estimate(scores, mean, rng(), draws=0)
