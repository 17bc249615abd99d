"""Sweeps in two processes whose parent or worker is killed: run as a script with what to do."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path

import torch

from mtlgym.bench.runs.backends.backends import run_cells
from mtlgym.bench.runs.backends.signals import InterruptedRunError
from mtlgym.bench.runs.cell import Cell
from mtlgym.bench.runs.checkpoints import CHECKPOINT
from mtlgym.bench.runs.execution import Execution

BYSTANDER = "bystander"
CELLS = [Cell("MTL-Bandit-v0", "exp3s", seed, {"steps": 4000}) for seed in range(2)]


def under_way(out: Path) -> bool:
    return len(list(out.glob(f"*/cells/*/{CHECKPOINT}"))) == len(CELLS)


def when_under_way(out: Path, act) -> None:
    def wait() -> None:
        while not under_way(out):
            time.sleep(0.02)
        act()

    threading.Thread(target=wait, daemon=True).start()


def workers() -> list[int]:
    found = multiprocessing.active_children()
    return [each.pid for each in found if each.pid and each.name != BYSTANDER]


def kill_a_worker() -> None:
    os.kill(workers()[0], signal.SIGKILL)


def die() -> None:
    print(*workers(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt() -> None:
    print(*workers(), flush=True)
    os.kill(os.getpid(), signal.SIGINT)


ACTS = {"nothing": lambda: None, "kill a worker": kill_a_worker, "die": die, "interrupt": interrupt}

if __name__ == "__main__":
    torch.set_num_threads(1)
    what, out = sys.argv[1], Path(sys.argv[2])
    bystander = multiprocessing.Process(name=BYSTANDER, target=time.sleep, args=(600,))
    if what != "die":  # it would live on
        bystander.start()
    if what != "nothing":
        when_under_way(out, ACTS[what])
    try:
        run_cells(
            [(cell, cell.folder(out)) for cell in CELLS], Execution(checkpoint_every=100, jobs=2)
        )
        code = 0
    except InterruptedRunError as error:
        code = error.exit_code
    assert bystander.is_alive()  # it was not taken for a worker
    bystander.kill()
    sys.exit(code)
