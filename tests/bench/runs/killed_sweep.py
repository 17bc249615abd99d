"""A sweep in a process that is killed and started again: run as a script, prints what came of it.

The script imports all once and forks a process for each start, which costs nothing like an import.
"""

import hashlib
import json
import os
import random
import resource
import signal
import sys
import warnings
from pathlib import Path

import torch

from mtlgym.bench.runs import checkpoints
from mtlgym.bench.runs.backends import signals
from mtlgym.bench.runs.backends.backends import run_cells
from mtlgym.bench.runs.cell import DECISIONS, LOG, RESULT, Cell
from mtlgym.bench.runs.execution import Execution
from mtlgym.bench.runs.factory import make
from mtlgym.io import checked_json, checkpoint

MOLECULES = {"batch_size": 500, "epochs": 1, "base_epoch": 1, "dim": 4, "edge_hidden": 2}
SAC = "igbv2:update_epoch=1,use_epoch=1,update_every=4,updates=1,batch_size=8"
CELLS = [
    Cell("MTL-QM9-Mini-v0", SAC, 0, MOLECULES),
    Cell("MTL-Bandit-v0", "exp3s", 0, {"steps": 40}),
    Cell("MTL-QM9-Mini-v0", "dwa:window=2", 1, MOLECULES),
    Cell("MTL-Bandit-v0", "thompson", 1, {"steps": 40}),
]
EVERY = 3  # steps from one checkpoint to the next


def sweep(out: Path) -> None:
    run_cells([(cell, cell.folder(out)) for cell in CELLS], Execution(checkpoint_every=EVERY))


def die_while_writing(name: str, count: int) -> None:
    """Kill this process half way through the so-many-th writing of such a file."""
    left = [count]

    def write(path, content):
        if name in Path(path).name:
            left[0] -= 1
            if left[0] == 0:
                Path(path).with_name(f".{Path(path).name}.0.part").write_bytes(content[::2])
                os.kill(os.getpid(), signal.SIGKILL)
        whole(path, content)

    whole = checkpoint.write_atomically
    checkpoint.write_atomically = checked_json.write_atomically = write


def die_between_renamings(count: int) -> None:
    left = [count]

    def replace(source, target):
        if Path(target).name == checkpoints.CHECKPOINT:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        whole(source, target)

    whole = os.replace
    setattr(checkpoints.os, "replace", replace)  # noqa: B010 - not its type


def die_in_a_step(count: int) -> None:
    left = [count]

    def asked():
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    signals.asked = asked


def start(out: Path, prepare) -> int:
    """Fork a sweep; its exit code, or minus the signal that ended it."""
    child = os.fork()
    if not child:
        code = 1
        try:
            prepare()
            sweep(out)
            code = 0
        except signals.InterruptedRunError as error:
            code = error.exit_code
        except OSError as error:
            print(error, file=sys.stderr, flush=True)
        except RuntimeError as error:
            print(error, file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def moments(rng: random.Random) -> list:
    """Twenty of them, of all kinds."""
    kinds = [
        lambda: die_in_a_step(rng.randrange(1, 25)),
        lambda: die_while_writing("checkpoint", rng.randrange(1, 6)),
        lambda: die_while_writing("result", 1),
        lambda: die_between_renamings(rng.randrange(1, 6)),
        lambda: die_while_writing("settings", 1),
    ]
    return [kinds[k % len(kinds)] for k in range(20)]


def digests(out: Path) -> dict[str, str]:
    """Hashes of each cell's result but for its clock, of its logs, and of the state at the end."""
    found = {}
    for cell in CELLS:
        folder = cell.folder(out)
        result = checked_json.read(folder / RESULT)
        del result["seconds"]
        state = checkpoint.load(folder / checkpoints.CHECKPOINT)
        checkpoint.save(folder / "state", {k: v for k, v in state.items() if k != "seconds"})
        files = [folder / name for name in ("state", LOG, DECISIONS)]
        parts = [json.dumps(result).encode(), *(p.read_bytes() for p in files if p.exists())]
        found[f"{cell.env} {cell.name}"] = hashlib.sha256(b"".join(parts)).hexdigest()
    return found


def killed(out: Path) -> dict:
    rng = random.Random(0)
    undisturbed = start(out / "undisturbed", lambda: None)
    endings: list[int] = []
    folder, rounds = out / "killed-0", 1
    kinds = moments(rng)
    while len(endings) < len(kinds):
        code = start(folder, kinds[len(endings)])
        if code == -signal.SIGKILL:
            endings.append(code)
        else:  # it came to its end before its moment: the next sweep is killed instead
            assert code == 0, code
            kinds[len(endings)] = lambda: die_in_a_step(rng.randrange(1, 20))
            folder, rounds = out / f"killed-{rounds}", rounds + 1
    last = [start(out / f"killed-{k}", lambda: None) for k in range(rounds)]
    return {
        "undisturbed": undisturbed,
        "kills": len(endings),
        "last": last,
        "wanted": digests(out / "undisturbed"),
        "found": [digests(out / f"killed-{k}") for k in range(rounds)],
        "drafts": [str(p) for p in out.glob("*/*/cells/*/.*.part")],
    }


def stopped(out: Path) -> dict:
    """A sweep that a signal stops in its eighth step, then one that goes on."""

    def at_step(number):
        def asked():
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), number)
            return whole()

        left, whole = [8], signals.asked
        signals.asked = asked

    codes = [start(out, lambda n=n: at_step(n)) for n in (signal.SIGINT, signal.SIGTERM)]
    steps = [
        checkpoint.load(path)["env"]["state"]["episode"]["learner"]["steps"]
        for path in out.glob(f"MTL-QM9*/cells/*/{checkpoints.CHECKPOINT}")
    ]
    return {"codes": codes, "steps": steps, "last": start(out, lambda: None)}


def full(out: Path, limit: int) -> dict:
    """A sweep on a disk that takes no larger files."""

    def prepare():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    code = start(out, prepare)
    kept = [p for p in out.glob(f"*/cells/*/{checkpoints.CHECKPOINT}") if checkpoint.load(p)]
    last = start(out, lambda: None)
    return {"code": code, "kept": len(kept), "last": last, "found": digests(out)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for cell in CELLS:
        make(cell)[0].close()  # reads the data, which forked processes then have
    folder = Path(sys.argv[1])
    print(
        json.dumps(
            {
                "killed": killed(folder / "killed"),
                "stopped": stopped(folder / "stopped"),
                "full": full(folder / "full", limit=600_000),
            }
        )
    )
