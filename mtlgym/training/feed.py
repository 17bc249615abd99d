"""The order of the training batches, and this process's part of each."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtlgym.distributed.process_group import TrainingGroup
from mtlgym.problems.problem import Batch, OrderedSplit, Split
from mtlgym.randomness import ORDER, SAMPLES, derive
from mtlgym.training.options import Training


@dataclass(frozen=True, eq=False)
class Share:
    """The part of a batch that this process has; without a process group, all of it.

    Attributes:
        batch: its samples.
        scale: factor of the mean losses of this part, such that their mean over the processes is
            the mean over the batch: processes x samples of this part / samples of the batch, one
            number a source; None without a process group.
    """

    batch: Batch
    scale: Tensor | None


class Feed:
    """The batches of a split in training order: a fresh permutation of every source every epoch.

    A split that is an `OrderedSplit` makes the permutations itself. A source's k-th batch depends
    on (seed, source, k) alone, so a position in the data is one number a source. An epoch's last
    batch may be smaller, or is left out with `drop_last`.

    In a group of n processes that of rank r has every n-th sample of a batch, from the r-th on. A
    process that would have no sample takes the first one, with scale 0.

    Attributes:
        batches: batches in an epoch of each source.
        drawn: batches drawn so far from each source; may be set to change the position.
    """

    def __init__(
        self, split: Split, training: Training, seed: int, group: TrainingGroup | None = None
    ) -> None:
        """Set up for batches of `training.batch_size` samples a source, on its device."""
        batch_size = training.batch_size
        rest = 0 if training.drop_last else batch_size - 1
        self.batches = tuple(max(1, (size + rest) // batch_size) for size in split.sizes)
        self.drawn = [0] * len(split.sizes)
        self._split = split
        self._batch_size = batch_size
        self._seed = seed
        self._rank, self._size = (group.rank, group.size) if group else (0, 1)
        self._device = torch.device(training.hardware.device)
        self._permutations: dict[int, tuple[int, NDArray[Any]]] = {}  # source -> (epoch, indices)

    def next_share(self) -> Share:
        """Draw the next batch of all tasks, which is a tuple if there are several sources."""
        parts = [self._next(source) for source in range(len(self.drawn))]
        if len(parts) == 1:
            return parts[0]
        scales = [part.scale for part in parts if part.scale is not None]
        return Share(tuple(part.batch for part in parts), torch.cat(scales) if scales else None)

    def next_share_of(self, task: int) -> Share:
        """Draw the next batch of the task's source."""
        return self._next(self._source(task))

    def peek(self, task: int) -> Share:
        """The batch that `next_share_of` will draw."""
        source = self._source(task)
        return self.share(source, self.drawn[source])

    def share(self, source: int, k: int) -> Share:
        """This process's part of the source's k-th batch."""
        epoch, position = divmod(k, self.batches[source])
        if self._permutations.get(source, (-1,))[0] != epoch:
            rng = np.random.default_rng([self._seed, ORDER, source, epoch])
            self._permutations[source] = epoch, self._permutation(source, rng)
        start = position * self._batch_size
        indices = self._permutations[source][1][start : start + self._batch_size]
        own = indices[self._rank :: self._size]
        seed = derive(self._seed, SAMPLES, source, k, *((self._rank,) if self._rank else ()))
        batch = self._split.batch(source, own if len(own) else indices[:1], seed).to(self._device)
        if self._size == 1:
            return Share(batch, None)
        scale = self._size * len(own) / len(indices)
        return Share(batch, torch.tensor([scale], dtype=torch.float64))

    def _permutation(self, source: int, rng: np.random.Generator) -> NDArray[Any]:
        if isinstance(self._split, OrderedSplit):
            return self._split.order(source, self._batch_size, rng)
        return rng.permutation(self._split.sizes[source])

    def _next(self, source: int) -> Share:
        share = self.share(source, self.drawn[source])
        self.drawn[source] += 1
        return share

    def _source(self, task: int) -> int:
        return task if len(self.drawn) > 1 else 0
