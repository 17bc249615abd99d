"""Checkpoints: nested state in one file, written atomically, with a checksum.

A file is one line that names the format, one line with the SHA-256 of the rest, and then a
safetensors file whose metadata hold the nesting as JSON. There is no pickle in it.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import safetensors.torch

from mtlgym.io import state as nested
from mtlgym.io.atomic import write_atomically

MAGIC = b"mtlgym checkpoint 1\n"
HEADER = len(MAGIC) + 64 + 1  # bytes before the payload: format, hexadecimal digest, newline


def save(path: str | os.PathLike[str], state: Any) -> None:
    """Write nested dicts, lists and tuples of tensors, arrays, numbers, strings, bools and None.

    The file appears whole or not at all, and an older one stays until then.

    Raises:
        TypeError: for any other value in the state; names it.
        ValueError: for a state that holds itself, or is nested too deeply.
        OSError: if the file cannot be written.
    """
    structure, tensors = nested.encode(state)
    payload = safetensors.torch.save(tensors, metadata={"state": json.dumps(structure)})
    write_atomically(path, MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)


def load(path: str | os.PathLike[str]) -> Any:
    """Read a file written by `save`.

    Raises:
        ValueError: if the file is no checkpoint, was changed, or was forged to hold values that
            `save` does not write; names it.
        FileNotFoundError: if there is no such file.
    """
    raw = Path(path).read_bytes()
    if not raw.startswith(MAGIC):
        raise ValueError(
            f"{path} is not a checkpoint of this version: it should begin with {MAGIC!r}, "
            f"not {raw[: len(MAGIC)]!r}"
        )
    payload = raw[HEADER:]
    expected = raw[len(MAGIC) : HEADER]
    found = hashlib.sha256(payload).hexdigest().encode() + b"\n"
    if found != expected:
        raise ValueError(
            f"{path} is damaged: its SHA-256 should be {expected!r} and is {found!r}; "
            "use an earlier checkpoint"
        )
    size = int.from_bytes(payload[:8], "little")
    header = nested.parse(payload[8 : 8 + size], str(path))
    try:
        text = header["__metadata__"]["state"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: it holds no state ({error!r})") from error
    tensors = nested.read_tensors(payload, str(path))
    return nested.decode(nested.parse(text, str(path)), tensors, str(path))
