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
ORPHANED = signal.SIGTERM  # what the end of a worker's parent counts as

PATIENCE = 1.0  # seconds between two looks of a worker at whether its parent is there

_asked: list[int] = []  # the signals that came: they are the process's, not an object's
_worker, _working = threading.Event(), threading.Event()


class InterruptedRunError(Exception):
    """A run was asked to stop, and has written a checkpoint.

    Attributes:
        signal: the number of the signal that asked.
    """

    def __init__(self, number: int) -> None:
        """Note the signal."""
        super().__init__(number)
        self.signal = number

    def __str__(self) -> str:
        """What happened."""
        return f"stopped by signal {self.signal}"

    @property
    def exit_code(self) -> int:
        """128 more than the signal's number, as shells say it."""
        return 128 + self.signal


def asked() -> int | None:
    """The signal that asked this process to stop, None if none did."""
    return _asked[0] if _asked else None


def obey() -> None:
    """Stop here if somebody asked for it.

    Raises:
        InterruptedRunError: then.
    """
    number = asked()
    if number is not None:
        raise InterruptedRunError(number)


@contextmanager
def caught() -> Iterator[None]:
    """Note the first Ctrl-C or SIGTERM for `asked`; a second Ctrl-C raises KeyboardInterrupt.

    In another thread than the main one nothing is caught, as signals do not come there.
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
    """Catch the signals from now on; give what was done about them before.

    Inside of `caught`, after something else has set handlers of its own. Not in another thread than
    the main one.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, _note) for number in STOPPING}


@contextmanager
def held_back() -> Iterator[None]:
    """Let no Ctrl-C through, also in processes that begin meanwhile, until they let it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def work_for(parent: int) -> None:
    """Catch the signals from now on, and end when the parent process is gone: for workers.

    What a worker is in the middle of, between `busy`, writes a checkpoint first.
    """
    _worker.set()
    arm()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # which `held_back` kept off
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


@contextmanager
def busy() -> Iterator[None]:
    """In a worker: something is under way that has to come to an end, or look at `asked`."""
    _working.set()
    try:
        yield
    finally:
        _working.clear()


def _watch(parent: int) -> None:
    """Wait for the parent's end, then ask what is under way to stop, and end with it."""
    while os.getppid() == parent:
        time.sleep(PATIENCE)
    _asked.append(ORPHANED)
    while _working.is_set():
        time.sleep(PATIENCE)
    os._exit(128 + ORPHANED)  # the main thread waits for work that nobody will send


def _note(number: int, frame: FrameType | None) -> None:
    if _asked and number == signal.SIGINT and not _worker.is_set():
        raise KeyboardInterrupt
    _asked.append(number)
