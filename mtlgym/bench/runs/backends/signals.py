"""Signals that ask a run to stop: it writes a checkpoint first."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM)
ORPHANED = signal.SIGTERM  # the end of a worker's parent is handled like this signal

PATIENCE = 1.0  # seconds between two checks of a worker for its parent

_asked: list[int] = []  # signals received: they are the process's, not an object's
_worker, _working = threading.Event(), threading.Event()


class InterruptedRunError(Exception):
    """A run was asked to stop, and has written a checkpoint.

    Attributes:
        signal: the number of the signal that asked.
    """

    def __init__(self, number: int) -> None:
        """Store the signal."""
        super().__init__(number)
        self.signal = number

    def __str__(self) -> str:
        """The message."""
        return f"stopped by signal {self.signal}"

    @property
    def exit_code(self) -> int:
        """128 plus the signal's number, as in shells."""
        return 128 + self.signal


def asked() -> int | None:
    """The signal that asked this process to stop, None if none did."""
    return _asked[0] if _asked else None


def obey() -> None:
    """Raise if a signal asked to stop.

    Raises:
        InterruptedRunError: if there was one.
    """
    number = asked()
    if number is not None:
        raise InterruptedRunError(number)


@contextmanager
def caught() -> Iterator[None]:
    """Record Ctrl-C and SIGTERM for `asked`; a second Ctrl-C raises KeyboardInterrupt.

    Outside the main thread nothing is recorded: signals are delivered to the main thread.
    """
    _asked.clear()
    before = arm()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _asked.clear()


def arm() -> dict[int, Any]:
    """Install the handlers; return the previous ones.

    For use inside `caught`, after other code has set handlers. Outside the main thread this does
    nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, _note) for number in STOPPING}


@contextmanager
def held_back() -> Iterator[None]:
    """Block SIGINT, also in processes that are started meanwhile, until they unblock it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def work_for(parent: int) -> None:
    """Set up a worker: install the handlers, and end when the parent process is gone.

    Work inside `busy` writes a checkpoint first.
    """
    _worker.set()
    arm()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # which `held_back` blocked
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


@contextmanager
def busy() -> Iterator[None]:
    """In a worker: work that must end, or check `asked`, before the process ends."""
    _working.set()
    try:
        yield
    finally:
        _working.clear()


def _watch(parent: int) -> None:
    """Wait for the end of the parent, then request a stop, and end the process after the work."""
    while os.getppid() == parent:
        time.sleep(PATIENCE)
    _asked.append(ORPHANED)
    while _working.is_set():
        time.sleep(PATIENCE)
    os._exit(128 + ORPHANED)  # the main thread waits for work that will not come


def _note(number: int, frame: FrameType | None) -> None:
    if _asked and number == signal.SIGINT and not _worker.is_set():
        raise KeyboardInterrupt
    _asked.append(number)
