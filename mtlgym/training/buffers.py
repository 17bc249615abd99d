"""A model's buffers, such as running statistics, which a forward pass in training changes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


def copy_buffers(model: nn.Module) -> dict[str, Tensor]:
    """A copy of each buffer by name, for `restore_buffers`."""
    return {name: buffer.clone() for name, buffer in model.named_buffers()}


def restore_buffers(model: nn.Module, values: Mapping[str, Any]) -> None:
    """Write the values into the buffers of the same names."""
    # `.data`: a graph may refer to the buffers, but does not need their values.
    for name, buffer in model.named_buffers():
        if name in values:
            buffer.data.copy_(values[name])


@contextmanager
def preserved_buffers(model: nn.Module) -> Iterator[None]:
    """A context after which the buffers are as before it."""
    before = copy_buffers(model)
    try:
        yield
    finally:
        restore_buffers(model, before)


def running_statistics(model: nn.Module) -> list[Tensor]:
    """The floating-point buffers, to be written to; counts and indices are left out."""
    return [buffer.data for buffer in model.buffers() if buffer.is_floating_point()]
