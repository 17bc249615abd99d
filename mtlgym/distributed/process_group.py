"""The group of processes that train one model together, and its messages of Python objects."""

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
TIMEOUT = timedelta(minutes=30)  # how long one process waits for another

T = TypeVar("T")


class PartnerError(RuntimeError):
    """Another process of the group failed; its traceback is attached as a note."""


class TrainingGroup:
    """Processes that run the same program in lockstep, each on its part of the data.

    All processes must call all methods in the same order. The methods that exchange data, except
    `broadcast`, first synchronize: an error in one process is then raised in all of them, and no
    process waits for a message that is never sent.

    Attributes:
        processes: the group as torch has it.
        rank: rank of this process, in [0, size); the process of rank 0 is the leader.
        size: number of processes.
        is_open: whether the leader's environment is open.
    """

    def __init__(self, processes: distributed.ProcessGroup) -> None:
        """Wrap a group that contains all processes and has a backend for CPU tensors."""
        self.processes = processes
        self.rank, self.size = processes.rank(), processes.size()
        self.is_open = True

    @classmethod
    def create(cls, device: str) -> "TrainingGroup":
        """Create a group of all processes that torchrun started; each of them must call this.

        torch's default process group is initialised if it is not yet, and then destroyed when
        Python exits. Messages of two groups do not mix.

        Args:
            device: where models and batches live.

        Raises:
            ValueError: for a device whose tensors cannot be sent, or if this process was not
                started by torchrun; names the environment variables that are missing.
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
            atexit.register(_destroy)  # else gloo's threads sometimes abort the process at exit
        return cls(distributed.new_group(timeout=TIMEOUT, backend=backend))

    def __reduce__(self) -> NoReturn:
        """Raise a TypeError: a copy would have no other processes to work with."""
        raise TypeError(
            "an environment with `distributed=True` cannot be copied or pickled: its processes "
            "share it; save() and load() keep its state"
        )

    def synchronize(self, error: Exception | None = None) -> None:
        """Wait for all processes; with an error, report it to the others.

        Raises:
            PartnerError: without an error here, if another process has one; names the process.
        """
        failed = torch.tensor(int(error is not None))
        distributed.all_reduce(failed, distributed.ReduceOp.MAX, group=self.processes)
        if not failed:
            return
        reports: list[Any] = [None] * self.size
        own = error and (repr(error), "".join(traceback.format_exception(error)))
        distributed.all_gather_object(reports, own, group=self.processes)
        if error is None:
            rank, (text, trace) = next((r, each) for r, each in enumerate(reports) if each)
            partner_error = PartnerError(f"process {rank} of {self.size} failed: {text}")
            partner_error.add_note(trace)
            raise partner_error

    def run_on_all(self, work: Callable[[], T]) -> T:
        """Run the work, wait until all processes have done theirs, and return this one's result.

        Raises:
            PartnerError: if the work failed in another process. An error in this process is raised
                as it is.
        """
        try:
            result = work()
        except PartnerError:
            raise
        except Exception as error:
            with suppress(RuntimeError):  # a process that has exited cannot receive the error
                self.synchronize(error)
            raise
        self.synchronize()
        return result

    def run_on_leader(self, work: Callable[[], T]) -> T:
        """Run the work in the leader alone, and return its result in all processes."""
        result = work() if self.rank == 0 else None
        self.synchronize()
        return self.broadcast(result)

    def broadcast(self, value: Any) -> Any:
        """Return the leader's value in all processes; the values of the others are ignored."""
        values = [value]
        distributed.broadcast_object_list(
            values, src=0, group=self.processes, device=torch.device("cpu")
        )
        return values[0]

    def all_gather(self, value: T) -> list[T]:
        """Return the values of all processes, in the order of their ranks."""
        self.synchronize()
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value, group=self.processes)
        return values


def _destroy() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()
