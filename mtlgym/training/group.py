"""Processes that train one model together, each on its share of every batch."""

from collections.abc import Sequence

from torch import Tensor, distributed

Group = distributed.ProcessGroup | None  # None: this process is alone


def average(values: Sequence[Tensor], group: Group) -> None:
    """Put the mean over the processes in each value's place; every process calls it alike."""
    if group is None:
        return
    for value in values:
        distributed.all_reduce(value, group=group)
        value /= group.size()
