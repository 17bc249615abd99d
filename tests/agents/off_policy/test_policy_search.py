"""The search for the policy of the highest estimated value and entropy."""

import subprocess
import sys

import numpy as np
import pytest
from gymnasium import spaces

from mtlgym.agents import Counterfactual
from mtlgym.agents.off_policy.logged_sums import LoggedSums
from mtlgym.agents.off_policy.policy_search import ENTROPIES, improve, improve_grid
from tests.agents.off_policy.logged import objective, shortfall, softmax, sums_of


def training_log(seed, size=500, arms=8):
    """Rewards in [0, 1] that differ between the arms, logged by two policies."""
    rng = np.random.default_rng(seed)
    means, sums = rng.random(arms), LoggedSums(arms)
    for policy in (np.full(arms, 1 / arms), rng.dirichlet(np.full(arms, 3.0))):
        for action in rng.choice(arms, size=size, p=policy):
            sums.add(action, policy[action], float(rng.random() < means[action]))
    return sums


@pytest.mark.parametrize("entropy", [0.1, 0.2])
@pytest.mark.parametrize(("iterations", "gap"), [(20, 1e-2), (50, 1e-4)])
def test_search_comes_close_to_the_optimum(entropy, iterations, gap):
    for seed in range(4):
        sums = training_log(seed)
        rng = np.random.default_rng(seed)
        found = improve(sums, rng=rng, entropy=entropy, iterations=iterations)
        assert -1e-9 < shortfall(sums, found, entropy) < gap


def test_search_finds_the_closed_form_of_plain_importance_sampling():
    for seed in range(3):
        sums, rng = training_log(seed), np.random.default_rng(seed)
        found = improve(sums, rng=rng, entropy=0.2, estimator="ips", iterations=60)
        expected = softmax(sums.rewards / sums.count / 0.2)
        np.testing.assert_allclose(found, expected, atol=2e-4)


def test_policy_is_never_worse_than_the_start():
    rng = np.random.default_rng(8)
    for seed in range(5):
        sums, start = training_log(seed, 200), rng.dirichlet(np.ones(8))
        found = improve(sums, rng=rng, iterations=1, population=4, start=start)
        values = [objective(sums, each, 0.2) for each in (found, start)]
        assert values[0] >= values[1]
    best = softmax(sums.rewards / sums.count / 0.2)
    kept = improve(sums, rng=rng, iterations=1, population=4, start=best, estimator="ips")
    np.testing.assert_allclose(kept, best, rtol=1e-12)


@pytest.mark.parametrize("entropy", [0.0, 0.2])
def test_without_rewards_the_policy_is_uniform(entropy):
    sums = sums_of([0, 1, 2, 0], [0.5, 0.25, 0.25, 0.5], [0.0] * 4)
    found = improve(sums, rng=np.random.default_rng(0), entropy=entropy)
    np.testing.assert_allclose(found, 1 / 3, rtol=1e-12)
    if entropy:
        rng = np.random.default_rng(0)
        found = improve(sums, rng=rng, entropy=entropy, iterations=100, start=[0.9, 0.05, 0.05])
        np.testing.assert_allclose(found, 1 / 3, atol=1e-4)


@pytest.mark.parametrize("scale", [2.0**-60, 2.0**60])
def test_unit_of_the_rewards_does_not_matter(scale):
    sums, scaled = training_log(0), training_log(0)
    scaled.moments[0] *= scale
    expected = improve(sums, rng=np.random.default_rng(0), iterations=100)
    found = improve(scaled, rng=np.random.default_rng(0), iterations=100, entropy=0.2 * scale)
    np.testing.assert_array_equal(found, expected)


def test_without_entropy_the_best_arm_is_chosen():
    sums = sums_of([0, 1, 2] * 10, [1 / 3] * 30, [0.2, 0.9, 0.5] * 10)
    found = improve(sums, rng=np.random.default_rng(0), entropy=0.0, iterations=200)
    np.testing.assert_allclose(found, [0, 1, 0], atol=1e-6)


@pytest.mark.parametrize("arms", [1, 2, 50])
def test_any_number_of_arms_has_a_policy(arms):
    sums = sums_of(range(arms), [0.5] * arms, np.linspace(0, 1, arms), arms)
    found = improve(sums, rng=np.random.default_rng(0), entropy=0.5)
    assert found.shape == (arms,)
    assert found.sum() == pytest.approx(1)
    assert found[-1] >= found[0]


def test_grid_has_a_policy_for_each_weight_of_the_entropy():
    found = improve_grid(training_log(0), rng=np.random.default_rng(0), iterations=50)
    assert tuple(found) == ENTROPIES
    entropies = [-(policy * np.log(policy)).sum() for policy in found.values()]
    assert entropies == sorted(entropies)


def test_search_draws_from_its_generator_alone_and_says_and_writes_nothing(
    tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    world = np.random.get_state(legacy=False)  # noqa: NPY002
    first, second = (
        [improve(training_log(1, 100), rng=np.random.default_rng(5), population=n) for n in (4, 64)]
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    other = improve(training_log(1, 100), rng=np.random.default_rng(6))
    assert not np.array_equal(first[1], other)
    now = np.random.get_state(legacy=False)  # noqa: NPY002
    np.testing.assert_equal(now, world)
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_importing_the_search_leaves_the_world_as_it_was():
    check = (
        "import numpy as np, random; a = np.random.get_state(legacy=False); b = random.getstate()\n"
        "import mtlgym.agents.off_policy.policy_search\n"
        "np.testing.assert_equal(np.random.get_state(legacy=False), a)\n"
        "assert random.getstate() == b"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"entropy": -0.1}, "`entropy` must be a finite number of at least 0"),
        ({"estimator": "wiss"}, "unknown estimator 'wiss'. Did you mean 'wis'"),
        ({"population": 3}, "`population` must be an integer of at least 4, not 3"),
        ({"iterations": 0}, "`iterations` must be an integer of at least 1, not 0"),
    ],
)
def test_settings_of_the_search_are_checked(setting, message):
    with pytest.raises(ValueError, match=message):
        improve(training_log(0, 20), rng=np.random.default_rng(0), **setting)
    with pytest.raises(ValueError, match=message):
        Counterfactual(spaces.Discrete(1), spaces.Discrete(3), **setting)


def test_sums_of_rows_are_searched_row_by_row():
    with pytest.raises(ValueError, match=r"`sums` must be of one policy, such as `sums.row\(0\)`"):
        improve(LoggedSums(3, rows=2), rng=np.random.default_rng(0))


def test_sums_that_leave_arms_untried_have_no_best_policy():
    sums = LoggedSums(3, tasks=("x", "y", "z"))
    sums.add(0, 0.5, 1.0)
    with pytest.raises(ValueError, match=r"no decision for arms 1 \(y\), 2 \(z\), .*log more"):
        improve(sums, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="no decision for arms 0, 1"):
        improve(LoggedSums(2), rng=np.random.default_rng(0))


@pytest.mark.parametrize("start", [[0.5, 0.5], [0.5, 0.6, -0.1], [0.5, 0.5, 0.5], [np.nan] * 3])
def test_search_starts_from_a_distribution(start):
    sums = sums_of([0, 1, 2], [0.5] * 3, [1.0] * 3)
    with pytest.raises(ValueError, match="`start` must be 3 probabilities that sum to 1"):
        improve(sums, rng=np.random.default_rng(0), start=start)
