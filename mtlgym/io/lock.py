"""One process at a time in a folder."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = "lock"  # the file's name
DRAFTS = ".*.part"  # of `write_atomically`
PATIENCE = 1.0  # seconds between two calls of `on_wait`


@contextmanager
def held(folder: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the folder's lock; wait for it, with a warning, while another process holds it.

    The folder is created if it is missing. Drafts of `write_atomically` that a killed process left
    are removed. The operating system releases the lock when a process ends, however it ended.

    Args:
        folder: the folder.
        on_wait: called once a second while waiting; an exception from it ends the wait.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    told = False
    while True:
        try:
            lock.acquire(timeout=PATIENCE)
            break
        except Timeout:
            if not told:
                text = f"{folder} is in use by another process, which is waited for"
                warnings.warn(text, UserWarning, stacklevel=3)
            told = True
            on_wait()
    try:
        for draft in folder.glob(DRAFTS):
            draft.unlink(missing_ok=True)
        yield
    finally:
        lock.release()
