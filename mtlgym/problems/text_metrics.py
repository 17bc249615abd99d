"""What text tasks are measured by, in percent."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics

Values = NDArray[Any]


def f1(labels: Values, predicted: Values) -> float:
    """The F1 score of class 1; 0 where it is undefined."""
    return float(metrics.f1_score(labels, predicted, zero_division=0.0))


def pearson(scores: Values, predicted: Values) -> float:
    """Pearson's correlation; 0 where it is undefined, as a constant has none."""
    return _correlation(stats.pearsonr, scores, predicted)


def spearman(scores: Values, predicted: Values) -> float:
    """Spearman's rank correlation; 0 where it is undefined, as a constant has none."""
    return _correlation(stats.spearmanr, scores, predicted)


def _correlation(function: Callable[..., Any], scores: Values, predicted: Values) -> float:
    if np.ptp(scores) == 0 or np.ptp(predicted) == 0 or not np.isfinite(predicted).all():
        return 0.0
    return float(function(scores, predicted).statistic)


# Class indices or scores, then what was predicted -> value in [-1, 1]; higher is better.
TEXT_METRICS: dict[str, Callable[[Values, Values], float]] = {
    "accuracy": metrics.accuracy_score,
    "f1": f1,
    "matthews": metrics.matthews_corrcoef,
    "pearson": pearson,
    "spearman": spearman,
}
