"""Cells in worker processes on this machine."""

import multiprocessing
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import torch

from mtlgym.bench.runs.backends import signals
from mtlgym.bench.runs.cell import Cell
from mtlgym.bench.runs.run import run_cell

PATIENCE = 0.2  # seconds between two checks for a signal


def in_processes(
    places: Mapping[int, tuple[Cell, Path]], checkpoint_every: int, jobs: int, retries: int
) -> Iterator[tuple[int, dict[str, Any] | Exception]]:
    """Each cell's number and its result or error, in the order they end, `jobs` at a time.

    A worker that is killed ends the others of its pool; a new pool then continues the unfinished
    cells. After `retries` pools in a row that finished nothing, each cell has a
    worker of its own, and the error is that of the cell whose worker was killed once more.

    Raises:
        InterruptedRunError: once the workers have written checkpoints, after a signal.
    """
    left, idle = dict(places), 0
    while left and idle <= retries:
        before = len(left)
        try:
            for index, outcome in _one_pool(left, checkpoint_every, jobs):
                del left[index]
                yield index, outcome
        except BrokenProcessPool:
            idle = 0 if len(left) < before else idle + 1
    for index, place in left.items():
        try:
            yield from _one_pool({index: place}, checkpoint_every, jobs=1)
        except BrokenProcessPool as error:
            yield index, error


def _one_pool(
    places: Mapping[int, tuple[Cell, Path]], checkpoint_every: int, jobs: int
) -> Iterator[tuple[int, dict[str, Any] | Exception]]:
    spawn, others = multiprocessing.get_context("spawn"), set(multiprocessing.active_children())
    with ProcessPoolExecutor(jobs, spawn, _begin, (os.getpid(),)) as pool:
        try:
            with signals.held_back():  # workers cannot handle signals before they are set up
                futures = {
                    pool.submit(_work, *place, checkpoint_every): index
                    for index, place in places.items()
                }
            pending = set(futures)
            while pending:
                done, pending = wait(pending, PATIENCE, FIRST_COMPLETED)
                for future in done:
                    yield futures[future], _outcome(future)
                signals.obey()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # else the others are still run
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()  # they write checkpoints
            raise


def _outcome(future: Future[dict[str, Any]]) -> dict[str, Any] | Exception:
    error = future.exception()
    stops_all = isinstance(error, BrokenProcessPool | signals.InterruptedRunError)
    if isinstance(error, Exception) and not stops_all:
        return error
    return future.result()  # or raise the error that stops all


def _begin(parent: int) -> None:
    """Set up a worker."""
    torch.set_num_threads(1)
    signals.work_for(parent)


def _work(cell: Cell, folder: Path, checkpoint_every: int) -> dict[str, Any]:
    with signals.busy():
        return run_cell(cell, folder, checkpoint_every=checkpoint_every)
