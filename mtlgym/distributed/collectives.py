"""Averages over the processes that train one model together, each on its part of every batch."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, distributed, nn

from mtlgym.distributed.process_group import TrainingGroup

Group = distributed.ProcessGroup | TrainingGroup | None  # None: a single process
BUCKET = 2**22  # most elements of a message that carries more than one tensor


def average(values: Sequence[Tensor], group: Group) -> None:
    """Replace each tensor by its mean over the processes, in place; all processes must call it."""
    if group is None:
        return
    processes = _synchronized(group)
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
    """Replace each `.grad` by its mean over the processes; see `mean_gradients`."""
    if group is None:
        return
    every = list(parameters)
    grads = mean_gradients([p.grad for p in every], every, group)
    for parameter, grad in zip(every, grads, strict=True):
        parameter.grad = grad


def mean_gradients(
    grads: Sequence[Tensor | None], parameters: Sequence[Tensor], group: Group
) -> list[Tensor | None]:
    """Return the gradients' means over the processes; the given tensors are overwritten.

    A gradient that is None in some processes counts as zeros there; one that is None in all of
    them stays None, so that an optimizer skips its parameter as it does in a single process.
    """
    if group is None or not parameters:
        return list(grads)
    used = any_process([grad is not None for grad in grads], group, parameters[0].device)
    filled = [
        torch.zeros_like(parameter) if grad is None and is_used else grad
        for grad, parameter, is_used in zip(grads, parameters, used, strict=True)
    ]
    average([grad for grad in filled if grad is not None], group)
    return filled


def any_process(flags: Sequence[bool], group: Group, device: torch.device) -> list[bool]:
    """For each flag, whether it is true in any process; `device` must suit the group's backend."""
    if group is None:
        return list(flags)
    processes = _synchronized(group)
    kind = torch.device("cpu") if isinstance(group, TrainingGroup) else device
    reduced = torch.tensor(flags, dtype=torch.int32, device=kind)
    distributed.all_reduce(reduced, distributed.ReduceOp.MAX, group=processes)
    return [bool(each) for each in reduced.tolist()]


def _synchronized(group: distributed.ProcessGroup | TrainingGroup) -> distributed.ProcessGroup:
    """The torch group; that of a `TrainingGroup` once all its processes have come this far."""
    if not isinstance(group, TrainingGroup):
        return group
    group.synchronize()
    return group.processes


def _buckets(values: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """The tensors in their order, in lists of one dtype and device, of at most BUCKET elements."""
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
