"""Reservoir sampling of rewards, and scaling of rewards by the sample's percentiles."""

from array import array
from bisect import insort
from collections.abc import MutableSequence

import numpy as np
from numpy.typing import NDArray


class Reservoir:
    """A uniform sample of the rewards so far, and its percentiles, which scale rewards.

    Reward t, counted from 1, enters a full sample of n with probability n / t, in place of one of
    the n, each as likely as the others. Percentiles are interpolated linearly, as
    `numpy.percentile` does.

    Source: Vitter, "Random sampling with a reservoir" (ACM TOMS 11, 1985), algorithm R.

    Attributes:
        size: largest size of the sample.
        kept: the sample, in ascending order.
        low: 20th percentile of the sample, 0 if it is empty.
        high: 80th percentile of the sample, 0 if it is empty.
    """

    def __init__(self, size: int, kept: MutableSequence[float]) -> None:
        """Start with this sample, which is changed in place.

        A list is the fastest for one reservoir, an `array` for thousands, which fill the cache.
        """
        self.size, self.kept = size, kept
        self.low, self.high = 0.0, 0.0
        if kept:
            self._measure()

    def take(self, reward: float, seen: int, chance: float) -> None:
        """Add the `seen`-th reward; `chance`, uniform in [0, 1), is used if the sample is full."""
        if seen > self.size:
            place = int(chance * seen)
            if place >= self.size:
                return
            del self.kept[place]
        insort(self.kept, reward)
        self._measure()

    def scaled(self, reward: float) -> float:
        """The reward scaled to [-1, 1] by the percentiles.

        2 (reward - low) / (high - low) - 1 between the percentiles, -1 below, 1 above. Where they
        coincide, a reward that equals them is 0.

        Source: Glover, Hokamp (2019), https://arxiv.org/abs/1907.06214, equation 6.
        """
        low, high = self.low, self.high
        if reward < low:
            return -1.0
        if reward > high:
            return 1.0
        return 2 * ((reward - low) / (high - low)) - 1 if low < high else 0.0

    def _measure(self) -> None:
        """Compute the percentiles; written out twice, as this is a large part of a round's time."""
        kept = self.kept
        last = len(kept) - 1
        if not last:
            self.low = self.high = kept[0]
            return
        below = last // 5
        least = kept[below]
        self.low = least + (last / 5 - below) * (kept[below + 1] - least)
        below = 4 * last // 5
        least = kept[below]
        self.high = least + (4 * last / 5 - below) * (kept[below + 1] - least)


class Reservoirs:
    """A reservoir for each row of a vector of environments."""

    def __init__(self, rows: int, size: int) -> None:
        """Create empty ones of that size."""
        self._size, self._seen = size, 0
        self._each = [Reservoir(size, array("d")) for _ in range(rows)]
        self._low, self._high = np.zeros(rows), np.zeros(rows)

    def scaled(self, rewards: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """Add the rewards, and scale them by the percentiles; (rows,) each."""
        self._take(rewards, rng)
        low, high = self._low, self._high
        inside = (np.clip(rewards, low, high) - low) / np.where(low < high, high - low, 1)
        return np.where(low < high, 2 * inside - 1, np.sign(rewards - low))

    def kept(self) -> NDArray[np.float64]:
        """The samples, ascending; (rows, kept)."""
        return np.array([row.kept for row in self._each], float)

    def load(self, kept: NDArray[np.float64], seen: int) -> None:
        """Load samples returned by `kept` after that many rewards of each row."""
        self._seen = seen
        self._each = [Reservoir(self._size, array("d", row)) for row in kept]
        self._measured(list(range(len(kept))))

    def _take(self, rewards: NDArray[np.float64], rng: np.random.Generator) -> None:
        """Add the rewards; only rows whose sample changes take time."""
        self._seen += 1
        chances = rng.random(len(rewards)) if self._seen > self._size else np.zeros(len(rewards))
        entered = np.flatnonzero(chances * self._seen < self._size).tolist()
        values, drawn = rewards.tolist(), chances.tolist()
        for row in entered:
            self._each[row].take(values[row], self._seen, drawn[row])
        self._measured(entered)

    def _measured(self, rows: list[int]) -> None:
        self._low[rows] = [self._each[row].low for row in rows]
        self._high[rows] = [self._each[row].high for row in rows]
