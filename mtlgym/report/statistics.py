"""Statistics of the scores of several runs in several environments, with bootstrap intervals.

Scores are a list with an array of runs for each environment. Intervals are of a stratified
bootstrap: runs are drawn with replacement within each environment, and the ends are percentiles of
the statistic over the draws. Environments are not drawn: an interval covers the choice of seeds,
not the choice of environments.

Source: Agarwal et al. (NeurIPS 2021), Deep RL at the Edge of the Statistical Precipice,
https://arxiv.org/abs/2108.13264.
Differs from it in that environments may have different numbers of runs, and in that there is no
interval where one has a single run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mtlgym import checks

DRAWS, LEVEL = 2000, 0.95

Scores = Sequence[NDArray[np.float64]]  # an environment's scores a run, (..., runs) each
Statistic = Callable[[Scores], Any]  # of such scores: (...)


@dataclass(frozen=True)
class Estimate:
    """A statistic and its interval.

    Attributes:
        value: of the scores themselves.
        low: lower end of the interval; NaN where an environment has a single run.
        high: upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Profile:
    """Shares of runs by threshold.

    Attributes:
        thresholds: the scores tau, (points,).
        share: of the runs that are better, in [0, 1], (points,).
        low: lower ends of the pointwise intervals, (points,); NaN as in `Estimate`.
        high: upper ends, (points,).
    """

    thresholds: NDArray[np.float64]
    share: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def scores_of(table: NDArray[Any] | Sequence[Any]) -> list[NDArray[np.float64]]:
    """Convert a table to scores as the functions of this module take them.

    Args:
        table: (runs, environments), or a sequence with the runs of each environment.

    Raises:
        ValueError: without an environment or a run in one, or for scores that are not finite.
    """
    columns = table.T if isinstance(table, np.ndarray) and table.ndim == 2 else table
    found = [np.asarray(column, np.float64) for column in columns]
    if not found or any(each.ndim != 1 or not len(each) for each in found):
        shapes = [each.shape for each in found]
        raise ValueError(f"`table` must have a run in each environment, not shapes {shapes}")
    if not all(np.isfinite(each).all() for each in found):
        raise ValueError("`table` must have finite scores; leave runs without one out")
    return found


def mean(scores: Scores) -> Any:
    """The mean over environments of the mean over runs."""
    return np.mean([each.mean(axis=-1) for each in scores], axis=0)


def median(scores: Scores) -> Any:
    """The median over environments of the mean over runs."""
    return np.median([each.mean(axis=-1) for each in scores], axis=0)


def interquartile_mean(scores: Scores) -> Any:
    """The mean of the middle half of all runs of all environments.

    A quarter of the runs, rounded down, is left out at either end; none with fewer than four.
    Source: Agarwal et al. (NeurIPS 2021), section 4.3.
    Differs from it in that an environment with more runs counts for more.
    """
    return stats.trim_mean(np.concatenate(scores, axis=-1), 0.25, axis=-1)


STATISTICS: Mapping[str, Statistic] = {"mean": mean, "median": median, "IQM": interquartile_mean}


def estimate(
    scores: Scores,
    statistic: Statistic,
    rng: np.random.Generator,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Estimate:
    """The statistic with its interval by stratified bootstrap, percentile method.

    Raises:
        ValueError: for fewer than one draw, or a level that is not between 0 and 1.
    """
    _check(draws, level)
    drawn = _draw(scores, rng, draws)
    low, high = _interval(statistic(drawn), level, _has_interval(scores))
    return Estimate(float(statistic(scores)), float(low), float(high))


def performance_profile(
    scores: Scores,
    thresholds: NDArray[np.float64],
    rng: np.random.Generator,
    higher_is_better: bool = True,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Profile:
    """The share of runs that are better than each threshold, a mean over environments.

    Where lower is better, it is the share of runs below the threshold.
    Source: Agarwal et al. (NeurIPS 2021), section 4.2, equation 1.

    Raises:
        ValueError: as for `estimate`.
    """
    sign = 1.0 if higher_is_better else -1.0

    def shares(some: Scores) -> Any:
        better = [[(sign * each > sign * tau).mean(-1) for each in some] for tau in thresholds]
        return np.mean(better, axis=1)  # (points, ...)

    low, high = _interval(shares(_draw(scores, rng, draws)).T, level, _has_interval(scores))
    return Profile(thresholds, shares(scores), low, high)


def thresholds(scores: Scores, points: int = 101) -> NDArray[np.float64]:
    """Thresholds of a profile from just below the lowest score to just above the highest."""
    low, high = (float(end(np.concatenate(scores))) for end in (np.min, np.max))
    margin = 0.03 * (high - low) or 1.0
    return np.linspace(low - margin, high + margin, points)


def probability_of_improvement(
    scores: Scores,
    others: Scores,
    rng: np.random.Generator,
    higher_is_better: bool = True,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Estimate:
    """The probability that a run is better than one of the others, a mean over environments.

    In an environment it is U / (n m), U by Mann and Whitney of n and m runs: the share of pairs in
    which the run is better, where a tie is half a pair.
    Source: Agarwal et al. (NeurIPS 2021), section 4.3.

    Raises:
        ValueError: as for `estimate`, or if the numbers of environments differ.
    """
    if len(scores) != len(others):
        counts = f"{len(scores)} and {len(others)}"
        raise ValueError(f"`scores` and `others` must be of the same environments, not {counts}")
    better, worse = (scores, others) if higher_is_better else (others, scores)
    drawn = _draw(scores, rng, draws), _draw(others, rng, draws)
    first, second = drawn if higher_is_better else drawn[::-1]
    enough = _has_interval(scores) and _has_interval(others)
    low, high = _interval(_shares_of_pairs(first, second), level, enough)
    return Estimate(float(_shares_of_pairs(better, worse)), float(low), float(high))


def _shares_of_pairs(better: Scores, worse: Scores) -> Any:
    """U / (n m), a mean over environments, (...)."""
    shares = []
    for mine, other in zip(better, worse, strict=True):
        # Only the statistic is used, and this method of the p-value builds no tables.
        found = stats.mannwhitneyu(mine, other, axis=-1, method="asymptotic")
        shares.append(found.statistic / (mine.shape[-1] * other.shape[-1]))
    return np.mean(shares, axis=0)


def _check(draws: int, level: float) -> None:
    """Raise for values that give no interval, before the generator is used."""
    checks.integer("draws", draws, least=1)
    if not 0 < level < 1:
        raise ValueError(f"`level` must be between 0 and 1, not {level}")


def _draw(scores: Scores, rng: np.random.Generator, draws: int) -> list[NDArray[np.float64]]:
    """Bootstrap samples: runs drawn with replacement in each environment, (draws, runs) each."""
    return [each[rng.integers(len(each), size=(draws, len(each)))] for each in scores]


def _has_interval(scores: Scores) -> bool:
    return min(len(each) for each in scores) > 1


def _interval(found: Any, level: float, enough: bool) -> Any:
    """Both ends by percentiles over the draws, (2, ...); NaN if there are not enough runs."""
    ends = np.quantile(found, ((1 - level) / 2, (1 + level) / 2), axis=0)
    return ends if enough else np.full_like(ends, np.nan)
