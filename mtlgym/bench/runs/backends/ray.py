"""Cells as tasks of a Ray cluster."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from mtlgym.bench.runs.backends import signals
from mtlgym.bench.runs.cell import Cell
from mtlgym.bench.runs.run import run_cell

PATIENCE = 0.5  # seconds between two checks for a signal


def on_ray(
    places: Mapping[int, tuple[Cell, Path]],
    checkpoint_every: int,
    jobs: int,
    retries: int,
    address: str | None = None,
) -> Iterator[tuple[int, dict[str, Any] | Exception]]:
    """Each cell's number and its result or error, in the order they end; one CPU a task.

    A task whose worker or node is lost is restarted elsewhere, up to `retries` times, and
    continues from the cell's checkpoint: the cells' folders must be on a disk that all nodes share.

    Args:
        places: cells and their folders, by number.
        checkpoint_every: steps from one checkpoint to the next.
        jobs: CPUs of a cluster that is started here.
        retries: of a task.
        address: of a running cluster; without it, and if this process has none, one is started.

    Raises:
        ImportError: without Ray; names the extra.
        ValueError: for an address where Ray is initialised already.
        InterruptedRunError: once the tasks have written checkpoints, after a signal.
    """
    ray = _ray()
    started = not ray.is_initialized()
    if started:
        named = address or "RAY_ADDRESS" in os.environ
        ray.init(address, **({} if named else {"num_cpus": jobs, "include_dashboard": False}))
        signals.arm()  # Ray has set a handler of its own
    elif address:
        raise ValueError(f"`address` {address!r} comes too late: Ray is initialised already")
    # A node that is drained sends SIGTERM; the run then continues elsewhere.
    again = [signals.InterruptedRunError]
    task = ray.remote(num_cpus=1, max_retries=retries, retry_exceptions=again)(_run)
    try:
        waiting = {
            task.remote(cell, str(folder.resolve()), checkpoint_every): index
            for index, (cell, folder) in places.items()
        }
        while waiting:
            done, _ = ray.wait(list(waiting), timeout=PATIENCE)
            for reference in done:
                yield waiting.pop(reference), _outcome(ray, reference)
            if signals.asked():
                _stop(ray, list(waiting))
    finally:
        if started:
            ray.shutdown()


def _run(cell: Cell, folder: str, checkpoint_every: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    with signals.caught():
        return run_cell(cell, Path(folder), checkpoint_every=checkpoint_every)


def _outcome(ray: ModuleType, reference: Any) -> dict[str, Any] | Exception:
    try:
        found: dict[str, Any] = ray.get(reference)
        return found
    except ray.exceptions.RayTaskError as error:
        return error.cause if isinstance(error.cause, Exception) else error
    except ray.exceptions.RayError as error:
        return error


def _stop(ray: ModuleType, references: list[Any]) -> None:
    """Cancel the tasks, which write checkpoints, then raise here too."""
    for reference in references:
        ray.cancel(reference)  # to the task it is a Ctrl-C
    ray.wait(references, num_returns=len(references), timeout=None)
    signals.obey()


def _ray() -> ModuleType:
    try:
        import ray
    except ImportError as error:
        raise ImportError("backend 'ray' needs Ray: pip install mtlgym[ray]") from error
    return ray
