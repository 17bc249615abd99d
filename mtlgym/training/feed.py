"""Which batch comes next."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mtlgym.problems.problem import Batch, OrderedSplit, Split
from mtlgym.randomness import ORDER, SAMPLES, derive
from mtlgym.training.settings import Training


class Feed:
    """The batches of a split in training order: every source in a fresh permutation an epoch.

    A split that is an `OrderedSplit` makes the permutations itself. A source's k-th batch depends
    on (seed, source, k) alone, so a position in the data is one number a source. An epoch's last
    batch is smaller where the size asks for it, or left out.

    Attributes:
        batches: batches in an epoch of each source.
        drawn: batches drawn so far from each source; setting it moves the position.
    """

    def __init__(self, split: Split, training: Training, seed: int) -> None:
        """Feed batches of `training.batch_size` samples a source to the device."""
        batch_size = training.batch_size
        rest = 0 if training.drop_last else batch_size - 1
        self.batches = tuple(max(1, (size + rest) // batch_size) for size in split.sizes)
        self.drawn = [0] * len(split.sizes)
        self._split = split
        self._batch_size = batch_size
        self._seed = seed
        self._device = torch.device(training.hardware.device)
        self._permutations: dict[int, tuple[int, NDArray[Any]]] = {}  # source -> (epoch, indices)

    def next_joint(self) -> Batch:
        """The next batch of all tasks: the one source's, or the tuple of all sources' batches."""
        parts = [self._next(source) for source in range(len(self.drawn))]
        return parts[0] if len(parts) == 1 else tuple(parts)

    def next_of(self, task: int) -> Batch:
        """The next batch of the task's source."""
        return self._next(self._source(task))

    def peek(self, task: int) -> Batch:
        """The batch that `next_of` would give, which stays to be drawn."""
        source = self._source(task)
        return self.batch(source, self.drawn[source])

    def batch(self, source: int, k: int) -> Batch:
        """The source's k-th batch."""
        epoch, position = divmod(k, self.batches[source])
        if self._permutations.get(source, (-1,))[0] != epoch:
            rng = np.random.default_rng([self._seed, ORDER, source, epoch])
            self._permutations[source] = epoch, self._permutation(source, rng)
        start = position * self._batch_size
        indices = self._permutations[source][1][start : start + self._batch_size]
        seed = derive(self._seed, SAMPLES, source, k)
        return self._split.batch(source, indices, seed).to(self._device)

    def _permutation(self, source: int, rng: np.random.Generator) -> NDArray[Any]:
        if isinstance(self._split, OrderedSplit):
            return self._split.order(source, self._batch_size, rng)
        return rng.permutation(self._split.sizes[source])

    def _next(self, source: int) -> Batch:
        batch = self.batch(source, self.drawn[source])
        self.drawn[source] += 1
        return batch

    def _source(self, task: int) -> int:
        return task if len(self.drawn) > 1 else 0
