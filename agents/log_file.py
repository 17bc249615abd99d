"""A file that one process appends whole records to."""

from contextlib import suppress
from io import FileIO
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows; there two writers of one file are not kept apart
    fcntl = None  # type: ignore[assignment]


def lock(path: Path, mode: str) -> FileIO:
    """The file, unbuffered, locked against other writers until it is closed.

    Raises:
        OSError: if it cannot be opened, or another writer has it; names the file.
    """
    file = FileIO(path, mode)
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            reason = f"cannot be locked, as where another log writes to it: {error.strerror}"
            raise OSError(error.errno, reason, str(path)) from error
    return file


def write(file: FileIO, at: int, content: bytes, path: Path) -> None:
    """Write all of the content at that place, the file's end.

    Raises:
        OSError: if not all of it can be written; names the file, which then ends there.
    """
    try:
        file.seek(at)
        left = memoryview(content)
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        with suppress(OSError):
            file.truncate(at)
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
