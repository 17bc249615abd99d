"""A model's buffers: running statistics and the like, which a forward pass in training moves."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


def copies(model: nn.Module) -> dict[str, Tensor]:
    """Each buffer's value by name, for `put_back`."""
    return {name: buffer.clone() for name, buffer in model.named_buffers()}


def put_back(model: nn.Module, values: Mapping[str, Any]) -> None:
    """Give each buffer that is named among the values its value."""
    # `.data`: a graph may refer to the buffers, without a need of their values.
    for name, buffer in model.named_buffers():
        if name in values:
            buffer.data.copy_(values[name])


@contextmanager
def unmoved(model: nn.Module) -> Iterator[None]:
    """Afterwards the buffers are as before."""
    before = copies(model)
    try:
        yield
    finally:
        put_back(model, before)


def statistics(model: nn.Module) -> list[Tensor]:
    """The buffers of real numbers, to be written to; counts and indices are none."""
    return [buffer.data for buffer in model.buffers() if buffer.is_floating_point()]
