"""One process at a time in a cell's folder."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mtlgym.bench.runs.backends import signals
from mtlgym.bench.runs.cell import LOCK

DRAFTS = ".*.part"  # of `write_atomically`
PATIENCE = 1.0  # seconds between two looks at whether somebody asked to stop


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder, which is made if need be; wait, with a warning, while another process does.

    What a process that was killed left half written is removed. The system lets go of the folder
    when a process ends, however that ended.

    Raises:
        InterruptedRunError: if a signal asks to stop while waiting.
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
            signals.obey()
    try:
        for draft in folder.glob(DRAFTS):
            draft.unlink(missing_ok=True)
        yield
    finally:
        lock.release()
