"""Runs cells in two processes: the first is the leader, the second follows."""

import os
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing

from mtlgym.distributed import process_group

SIZE = 2
LONGEST = timedelta(seconds=60)  # how long a process waits for the other
MODULES = (
    "tests.distributed.distributed_cells",
    "tests.distributed.distributed_routing_cells",
)


@dataclass(frozen=True)
class Cell:
    """`make(parallel)` makes an environment, `play(env)` runs it and returns results."""

    make: Callable[[bool], Any]
    play: Callable[[Any], dict[str, Any]]

    def alone(self) -> dict[str, Any]:
        """The results in a single process."""
        return self.play(self.make(False))


@cache
def processes() -> list[dict[tuple[str, str], dict[str, Any]]] | Exception:
    """The results of every cell of the modules in each process, by module and name."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            multiprocessing.spawn(_work, (folder,), nprocs=SIZE)
        except Exception as error:  # kept, as another attempt would take as long
            return error
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in range(SIZE)]


def results(module: str, name: str) -> list[dict[str, Any]]:
    """The results of a cell in each process; an error in one of them is raised here."""
    played = processes()
    if isinstance(played, Exception):
        raise played
    found = [each[module, name] for each in played]
    for rank, each in enumerate(found):
        assert "traceback" not in each, f"process {rank}: {each['traceback']}"
    return found


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Whether two states of a model are bit-identical."""
    return all(torch.equal(first[name], second[name]) for name in first)


def _work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=SIZE,
        timeout=LONGEST,
    )
    process_group.TIMEOUT = LONGEST
    found = {
        (module, name): _played(rank, cell)
        for module in MODULES
        for name, cell in import_module(module).CELLS.items()
    }
    torch.save(found, Path(folder) / f"{rank}.pt")
    distributed.barrier()
    os._exit(0)  # without taking the group down, see `distributed_worker`


def _played(rank: int, cell: Cell) -> dict[str, Any]:
    """The results of a cell in this process, with its model's state and failure at the end."""
    env = cell.make(True)
    found: dict[str, Any] = {}
    try:
        if rank:
            env.follow()
        else:
            found = cell.play(env)
    except Exception:
        found["traceback"] = traceback.format_exc()
    env.close()
    env.close()  # which is safe
    if hasattr(env, "router"):
        model, failure = env.router.trainer.model, env.router.failure
    else:
        model, failure = env.episode.learner.model, env.episode.record.failure
    state = {name: value.clone() for name, value in model.state_dict().items()}
    return {**found, "model": state, "failed": failure}
