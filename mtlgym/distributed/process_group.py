"""The processes that train one model together: who they are, and what they tell each other."""

import atexit
import os
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import torch
from torch import distributed

from mtlgym.lookup import lookup

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # which torchrun sets
BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}  # by the kind of device
TIMEOUT = timedelta(minutes=30)  # that one process waits for another

T = TypeVar("T")


class PartnerError(RuntimeError):
    """Another process of the company failed; its traceback is a note."""


class Company:
    """Processes that do the same work at the same time, each on its part of the data.

    All methods are to be called by all processes alike. Those that send begin by asking whether
    all have come this far, but for `told`: an error in one process becomes an error in all of
    them, and none waits for a message that never comes.

    Attributes:
        processes: torch's group of them.
        rank: of this one, in [0, size); 0 leads.
        size: how many there are.
        is_open: whether the leader's environment is.
    """

    def __init__(self, processes: distributed.ProcessGroup) -> None:
        """Take a group that has all processes in it, and a backend for CPU tensors."""
        self.processes = processes
        self.rank, self.size = processes.rank(), processes.size()
        self.is_open = True

    @classmethod
    def join(cls, device: str) -> "Company":
        """A company of all processes that torchrun started; each must call it.

        The process group is set up if it is not yet, and then taken down when Python ends.
        Messages of two companies do not mix.

        Args:
            device: where models and batches live.

        Raises:
            ValueError: for a device whose tensors cannot be sent, or if this process was not
                started by torchrun; names the variables of the environment that are missing.
        """
        backend = lookup(BACKENDS, torch.device(device).type, "device of `distributed=True`")
        if not distributed.is_initialized():
            missing = [name for name in VARIABLES if name not in os.environ]
            if missing:
                raise ValueError(
                    "`distributed=True` needs processes that torchrun started, which sets "
                    f"{', '.join(VARIABLES)}; {', '.join(missing)} is missing"
                )
            distributed.init_process_group(backend, timeout=TIMEOUT)
            atexit.register(_leave)  # else gloo's threads now and then abort the process at its end
        return cls(distributed.new_group(timeout=TIMEOUT, backend=backend))

    def __reduce__(self) -> NoReturn:
        """Raise a TypeError: a copy would have nobody to work with."""
        raise TypeError(
            "an environment with `distributed=True` cannot be copied or pickled: its processes "
            "make one together; save() and load() keep its state"
        )

    def agree(self, error: Exception | None = None) -> None:
        """Wait for all; with an error, let the others know of it.

        Raises:
            PartnerError: without an error here, if another process has one; names the process.
        """
        failed = torch.tensor(int(error is not None))
        distributed.all_reduce(failed, distributed.ReduceOp.MAX, group=self.processes)
        if not failed:
            return
        told: list[Any] = [None] * self.size
        own = error and (repr(error), "".join(traceback.format_exception(error)))
        distributed.all_gather_object(told, own, group=self.processes)
        if error is None:
            rank, (text, trace) = next((r, each) for r, each in enumerate(told) if each)
            found = PartnerError(f"process {rank} of {self.size} failed: {text}")
            found.add_note(trace)
            raise found

    def together(self, work: Callable[[], T]) -> T:
        """What the work gives here, once all processes have done theirs.

        Raises:
            PartnerError: if it failed in another process. An error in this one stays what it is.
        """
        try:
            found = work()
        except PartnerError:
            raise
        except Exception as error:
            with suppress(RuntimeError):  # one that is gone cannot be told
                self.agree(error)
            raise
        self.agree()
        return found

    def told(self, value: Any) -> Any:
        """The leader's value, in all processes; those of the others are not looked at."""
        values = [value]
        distributed.broadcast_object_list(
            values, src=0, group=self.processes, device=torch.device("cpu")
        )
        return values[0]

    def led(self, work: Callable[[], T]) -> T:
        """What the work gives in the leader, which alone does it."""
        found = work() if self.rank == 0 else None
        self.agree()
        return self.told(found)

    def gathered(self, value: T) -> list[T]:
        """Every process's value, by rank."""
        self.agree()
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value, group=self.processes)
        return values


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()
