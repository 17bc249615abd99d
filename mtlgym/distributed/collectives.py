"""Processes that train one model together, each on its share of every batch."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, distributed, nn

from mtlgym.distributed.process_group import Company

Group = distributed.ProcessGroup | Company | None  # None: this process is alone
BUCKET = 2**22  # numbers that are sent at once, if they are of more than one tensor


def average(values: Sequence[Tensor], group: Group) -> None:
    """Put the mean over the processes in each value's place; every process calls it alike."""
    if group is None:
        return
    processes = _met(group)
    for bucket in _buckets(values):
        if len(bucket) == 1 and bucket[0].is_contiguous():
            distributed.all_reduce(bucket[0], group=processes)
            bucket[0].div_(processes.size())
            continue
        flat = torch.cat([value.reshape(-1) for value in bucket])
        distributed.all_reduce(flat, group=processes)
        flat /= processes.size()
        parts = flat.split([value.numel() for value in bucket])
        for value, part in zip(bucket, parts, strict=True):
            value.copy_(part.view(value.shape))


def average_gradients(parameters: Iterable[nn.Parameter], group: Group) -> None:
    """Put the mean over the processes in each `.grad`; see `means`."""
    if group is None:
        return
    every = list(parameters)
    for parameter, grad in zip(every, means([p.grad for p in every], every, group), strict=True):
        parameter.grad = grad


def means(
    grads: Sequence[Tensor | None], parameters: Sequence[Tensor], group: Group
) -> list[Tensor | None]:
    """The gradients' means over the processes, in the place of those that are there.

    A gradient that is missing counts as zeros, and one that all processes miss stays missing, so
    that an optimizer leaves its parameter alone as it would in one process.
    """
    if group is None or not parameters:
        return list(grads)
    used = anywhere([grad is not None for grad in grads], group, parameters[0].device)
    found = [
        torch.zeros_like(parameter) if grad is None and there else grad
        for grad, parameter, there in zip(grads, parameters, used, strict=True)
    ]
    average([grad for grad in found if grad is not None], group)
    return found


def anywhere(here: Sequence[bool], group: Group, device: torch.device) -> list[bool]:
    """Which of these are true in any process; the device is one that the group can send from."""
    if group is None:
        return list(here)
    processes = _met(group)
    kind = torch.device("cpu") if isinstance(group, Company) else device
    seen = torch.tensor(here, dtype=torch.int32, device=kind)
    distributed.all_reduce(seen, distributed.ReduceOp.MAX, group=processes)
    return [bool(each) for each in seen.tolist()]


def _met(group: distributed.ProcessGroup | Company) -> distributed.ProcessGroup:
    """The processes; those of a company once all have come this far."""
    if not isinstance(group, Company):
        return group
    group.agree()
    return group.processes


def _buckets(values: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """The values in their order, those beside each other together as long as they fit."""
    bucket: list[Tensor] = []
    for value in values:
        fits = bucket and value.dtype == bucket[0].dtype and value.device == bucket[0].device
        if not fits or sum(each.numel() for each in bucket) + value.numel() > BUCKET:
            if bucket:
                yield bucket
            bucket = []
        bucket.append(value)
    if bucket:
        yield bucket
