"""Atomic writes of files."""

import os
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Replace the file's content atomically: a reader sees the old or the new content, whole.

    Raises:
        OSError: if it cannot be written; the old file is untouched.
    """
    path = Path(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")  # another process may write it too
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        draft.unlink(missing_ok=True)
