"""Tokenised texts, cached in files that are mapped into memory."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.datasets.formats.arrays import sha256
from mtlgym.datasets.texts import Texts
from mtlgym.io.atomic import write_atomically

ARRAYS = ("ids", "types", "starts", "labels")
MANIFEST = "manifest.json"  # written last, with the SHA-256 of every array

# (first texts, second texts or None) -> token ids of each sample, and which text each token is of
Encode = Callable[
    [Sequence[str], Sequence[str] | None], tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]]
]


@dataclass(frozen=True, eq=False)
class Tokens:
    """Samples of different lengths, one after the other.

    Attributes:
        ids: of all tokens, (tokens,) int32.
        types: 1 for a token of the second text of a pair, else 0, (tokens,) uint8.
        starts: where each sample begins, and where the last one ends, (samples + 1,) int64.
        labels: (samples,) class indices, or scores.
    """

    ids: NDArray[np.int32]
    types: NDArray[np.uint8]
    starts: NDArray[np.int64]
    labels: NDArray[Any]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each sample, (samples,)."""
        return np.diff(self.starts)


def tokenise(texts: Texts, encode: Encode) -> Tokens:
    """The texts as tokens."""
    ids, types = encode(texts.first, texts.second)
    starts = np.zeros(len(ids) + 1, np.int64)
    np.cumsum([len(sample) for sample in ids], out=starts[1:])
    flat = chain.from_iterable
    return Tokens(
        np.fromiter(flat(ids), np.int32, starts[-1]),
        np.fromiter(flat(types), np.uint8, starts[-1]),
        starts,
        texts.labels,
    )


def cached(folder: Path, make: Callable[[], Texts], encode: Encode) -> Tokens:
    """The tokens in that folder, mapped into memory; computed and written first if missing.

    The folder appears when it is complete, so that an interrupted writer leaves nothing behind
    that could be taken for one, and two writers do not meet.

    Raises:
        ValueError: if a file in it is damaged; names the file.
        OSError: if it cannot be written.
    """
    if not (folder / MANIFEST).exists():
        _write(folder, tokenise(make(), encode))
    try:
        manifest = dict(json.loads((folder / MANIFEST).read_text()))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{folder / MANIFEST} is damaged; delete {folder}") from error
    for name in ARRAYS:
        path = folder / f"{name}.npy"
        if not path.exists() or sha256(path) != manifest.get(name):
            raise ValueError(f"{path} is damaged; delete {folder}, it is made again")
    return Tokens(*(np.load(folder / f"{n}.npy", mmap_mode="r") for n in ARRAYS))


def key(**parts: Any) -> str:
    """A folder name that identifies these plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _write(folder: Path, tokens: Tokens) -> None:
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    draft.mkdir(parents=True, exist_ok=True)
    try:
        digests = {}
        for name in ARRAYS:
            path = draft / f"{name}.npy"
            np.save(path, getattr(tokens, name))
            digests[name] = sha256(path)
        write_atomically(draft / MANIFEST, json.dumps(digests).encode())
        try:
            draft.replace(folder)
        except OSError:
            if not (folder / MANIFEST).exists():  # else another process was faster
                raise
    except OSError as error:
        text = f"the cache of tokens cannot be written ({error.strerror}); $MTLGYM_DATA moves it"
        raise OSError(error.errno, text, str(folder)) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
