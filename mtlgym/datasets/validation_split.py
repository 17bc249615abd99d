"""Hold out a share of each class's training samples for validation."""

import numpy as np
from numpy.typing import NDArray


def count(samples: int, share: float) -> int:
    """The number of held-out samples: the share, rounded, but at least one and never all.

    Raises:
        ValueError: if there are less than 2 samples.
    """
    if samples < 2:
        raise ValueError(f"at least 2 samples are needed, not {samples}: one is held out")
    return min(max(1, round(share * samples)), samples - 1)


def by_class(labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """The held-out samples of each class, independent of the other classes.

    Args:
        labels: each sample's class, (samples,).
        share: above 0 and below 1.
        seed: of the draw.

    Raises:
        ValueError: if a class has only one sample; names it.
    """
    held = np.zeros(len(labels), bool)
    for each in np.unique(labels).tolist():
        there = np.flatnonzero(labels == each)
        try:
            most = count(len(there), share)
        except ValueError as error:
            raise ValueError(f"class {each}: {error}") from error
        held[np.random.default_rng([seed, each]).permutation(there)[:most]] = True
    return held
