"""Checkpoints that are whole or not there: nested state in one file, written atomically.

A file is one line that names the format, one line with the SHA-256 of the rest, and then a
safetensors file whose metadata hold the nesting as JSON. There is no pickle in it.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from mtlgym.files import write_atomically

MAGIC = b"mtlgym checkpoint 1\n"
HEADER = len(MAGIC) + 64 + 1  # bytes before the payload: format, hexadecimal digest, newline


def save(path: str | os.PathLike[str], state: Any) -> None:
    """Write nested dicts, lists and tuples of tensors, arrays, numbers, strings, bools and None.

    The file appears whole or not at all, and an older one stays until then.

    Raises:
        TypeError: for any other value in the state; names it.
        OSError: if the file cannot be written.
    """
    tensors: dict[str, torch.Tensor] = {}
    structure = json.dumps(_encode(state, tensors))
    payload = safetensors.torch.save(tensors, metadata={"state": structure})
    write_atomically(path, MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)


def load(path: str | os.PathLike[str]) -> Any:
    """Read what `save` wrote.

    Raises:
        ValueError: if the file is no checkpoint, or one byte of it differs from what was written.
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
    structure = json.loads(payload[8 : 8 + size])["__metadata__"]["state"]
    return _decode(json.loads(structure), safetensors.torch.load(payload))


def _encode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, torch.Tensor | np.ndarray):
        kind = "tensor" if isinstance(value, torch.Tensor) else "array"
        key = str(len(tensors))
        tensors[key] = torch.as_tensor(value).detach().cpu().clone().contiguous()
        return {"": kind, "key": key}
    if isinstance(value, list):
        return [_encode(item, tensors) for item in value]
    if isinstance(value, tuple):
        return {"": "tuple", "items": [_encode(item, tensors) for item in value]}
    if isinstance(value, dict):
        pairs = [[_encode(key, tensors), _encode(item, tensors)] for key, item in value.items()]
        return {"": "dict", "items": pairs}
    raise TypeError(f"a checkpoint cannot hold {value!r} of type {type(value).__name__}")


def _decode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    match value[""]:
        case "tensor":
            return tensors[value["key"]]
        case "array":
            return tensors[value["key"]].numpy()
        case "tuple":
            return tuple(_decode(item, tensors) for item in value["items"])
        case _:
            return {_decode(key, tensors): _decode(item, tensors) for key, item in value["items"]}
