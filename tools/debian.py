"""Read Debian packages, with nothing but the standard library."""

import io
import tarfile
from pathlib import Path

HEADER = 60  # bytes before each member of an ar archive


def opened(deb: Path) -> tarfile.TarFile:
    """The archive of what a package installs.

    Raises:
        ValueError: if it is no Debian package, or has no such archive.
    """
    return tarfile.open(fileobj=io.BytesIO(_member(deb.read_bytes(), "data.tar.xz")))


def _member(archive: bytes, wanted: str) -> bytes:
    """A member of an ar archive, which is what a Debian package is."""
    if not archive.startswith(b"!<arch>\n"):
        raise ValueError("this is no Debian package: it does not begin with `!<arch>`")
    at = 8
    while at < len(archive):
        header = archive[at : at + HEADER]
        name, size = header[:16].decode().strip(" /"), int(header[48:58])
        at += HEADER
        if name == wanted:
            return archive[at : at + size]
        at += size + size % 2  # members begin at even places
    raise ValueError(f"the package has no {wanted}")
