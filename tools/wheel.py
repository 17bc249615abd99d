"""Read the wheels of Python packages."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def opened(source: Path, package: str) -> Iterator[Path]:
    """The folder of a package: itself, or out of a wheel."""
    if source.is_dir():
        yield source
        return
    with TemporaryDirectory() as folder, zipfile.ZipFile(source) as wheel:
        wheel.extractall(folder)
        yield Path(folder) / package
