"""The hardware options of a training: device, memory layout, precision, compilation."""

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch._functorch.config
from torch import nn

from mtlgym import checks
from mtlgym.lookup import lookup

PRECISIONS = ("bfloat16", "float32")


@dataclass(frozen=True)
class Hardware:
    """Where and how a model is computed; its parameters are always float32.

    Attributes:
        device: where model and batches live.
        channels_last: store images in the channels-last memory format, with which convolutions are
            fastest on a GPU and on many CPUs.
        precision: of the forward pass in training: `float32`, or `bfloat16` for autocast.
        fused: one kernel for the optimizer's whole update; whether gradients were finite is then
            read with the next batch's losses, so that a step waits for the device only once.
        compile: compile the model with `torch.compile`, when it is first used.
        distributed: whether the processes that torchrun started train one model together, each on
            its part of every batch. A device `cuda` is then this process's own.
    """

    device: str = "cpu"
    channels_last: bool = False
    precision: str = "float32"
    fused: bool = False
    compile: bool = False
    distributed: bool = False

    def __post_init__(self) -> None:
        """Check the values, and that the device is available."""
        for name in ("channels_last", "fused", "compile", "distributed"):
            checks.flag(name, getattr(self, name))
        if self.distributed and str(self.device) == "cuda":
            object.__setattr__(self, "device", f"cuda:{os.environ.get('LOCAL_RANK', 0)}")
        try:
            found = torch.device(self.device)  # raises for None, which `empty` takes for a default
            torch.empty(0, device=found).tolist()  # raises for a meta tensor
        except (RuntimeError, TypeError, ValueError, AssertionError) as error:
            text = f"`device` must name a device that torch has here, not {self.device!r}"
            raise ValueError(text) from error
        lookup(dict.fromkeys(PRECISIONS), self.precision, "`precision`")

    def place(self, model: nn.Module) -> nn.Module:
        """Move the model to the device, in the memory layout."""
        if self.channels_last:
            return model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model.to(self.device)

    def compiled(self, model: nn.Module, *, repeated: bool) -> nn.Module:
        """The module to call in training: the model itself, or its compiled form with `compile`.

        With `repeated`, several backward passes through one graph are possible. The backward code
        must then not write into the buffers that it reads: torch's cache of compiled code does not
        distinguish code for one pass from code for several, and gradients would silently be wrong.
        """
        options: dict[str, Any] | None = {"inplace_buffers": False} if repeated else None
        return cast(nn.Module, torch.compile(model, options=options)) if self.compile else model

    def forward(self) -> AbstractContextManager[None]:
        """The context of a forward pass in training, to be entered inside `repeatable`."""
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bfloat16")

    def repeatable(self) -> AbstractContextManager[None]:
        """A context in which several backward passes through a compiled graph are possible."""
        patch = torch._functorch.config.patch(donated_buffer=False)
        return patch if self.compile else nullcontext()
