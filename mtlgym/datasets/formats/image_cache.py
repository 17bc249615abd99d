"""Image files as an array of pixels, cached in a file that is mapped into memory."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mtlgym.datasets.formats.arrays import kept_digest, sha256
from mtlgym.datasets.formats.arrays import verify as compare
from mtlgym.io.atomic import write_atomically

FORMATS = ("JPEG", "PNG")  # the decoders that a file can reach
SUFFIXES = (".jpg", ".jpeg", ".png")  # in small letters


def decode(path: Path, side: int) -> NDArray[np.uint8]:
    """The image in red, green and blue, (side, side, 3).

    It is cut to the square in its middle and resized bilinearly, with each pixel a mean over those
    that it stands for.

    Raises:
        ValueError: if it cannot be decoded; names it.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            edge = min(width, height)
            left, top = (width - edge) // 2, (height - edge) // 2
            square = image.convert("RGB").crop((left, top, left + edge, top + edge))
            return np.asarray(square.resize((side, side), Image.Resampling.BILINEAR))
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be decoded: {error}") from error


def listing(folder: Path, paths: Sequence[Path]) -> str:
    """The SHA-256 of the files' names within the folder and sizes; their contents are not in it.

    Raises:
        OSError: if a file is missing; names it.
    """
    lines = (f"{path.relative_to(folder).as_posix()} {path.stat().st_size}\n" for path in paths)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def cached(folder: Path, paths: Sequence[Path], side: int) -> NDArray[np.uint8]:
    """All images, (images, side, side, 3), mapped into memory; decoded and written the first time.

    They are kept in the folder as `decoded-*.npy`, by what `listing` says of them; the SHA-256
    beside it is written last. So a writer that is interrupted leaves nothing behind that could be
    taken for whole, and two writers do not meet.

    Raises:
        ValueError: if an image cannot be decoded or the kept file is damaged; names it.
        OSError: if it cannot be written.
    """
    path = folder / f"decoded-{side}-{listing(folder, paths)[:32]}.npy"
    digest = path.with_name(f"{path.name}.sha256")
    if not digest.exists() or not path.exists():
        _write(path, digest, paths, side)
    compare(path, kept_digest(digest))
    return np.load(path, mmap_mode="r")


def _write(path: Path, digest: Path, paths: Sequence[Path], side: int) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    shape = (len(paths), side, side, 3)
    try:
        pixels = np.lib.format.open_memmap(draft, "w+", np.uint8, shape)
        for index, each in enumerate(paths):
            pixels[index] = decode(each, side)
        pixels.flush()
        del pixels
        expected = sha256(draft)
        draft.replace(path)
        write_atomically(digest, f"{expected}\n".encode())
    except OSError as error:
        text = f"the decoded images cannot be kept ({error.strerror})"
        raise OSError(error.errno, text, str(path)) from error
    finally:
        draft.unlink(missing_ok=True)
