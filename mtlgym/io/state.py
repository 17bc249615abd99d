"""Nested state as plain JSON and tensors beside it: the content of the library's saved files.

Dicts, tuples, arrays and tensors are encoded as JSON objects whose key "" names their type, and so
are floats that JSON cannot express. Reading creates these values alone: no code is called,
whatever the file holds.
"""

import json
import math
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError

DEEPEST = 100  # levels of nesting; far below the recursion limit

Tensors = dict[str, torch.Tensor]


def encode(state: Any) -> tuple[Any, Tensors]:
    """Dicts, lists and tuples of tensors, arrays, numbers, strings, bools and None, as JSON.

    Returns:
        A structure for `json.dumps`, and copies of the tensors and arrays by their names in it.

    Raises:
        TypeError: for any other value; names it.
        ValueError: for a state that holds itself, or is nested deeper than `DEEPEST`.
    """
    tensors: Tensors = {}
    return _encode(state, tensors, 0), tensors


def decode(structure: Any, tensors: Tensors, source: str) -> Any:
    """The state of which `encode` returned this structure and these tensors.

    Args:
        structure: the parsed JSON.
        tensors: by the names in the structure.
        source: the file, for messages.

    Raises:
        ValueError: for a structure that `encode` does not return; names the file.
    """
    try:
        return _decode(structure, tensors, 0)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{source} is damaged: it holds no state ({error!r})") from error


def parse(text: str | bytes, source: str) -> Any:
    """Parse JSON.

    Raises:
        ValueError: for text that is not JSON, or nested too deeply; names the file.
    """
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{source} is damaged: it is not JSON ({error})") from error


def read_tensors(content: bytes, source: str) -> Tensors:
    """The tensors in a safetensors file's content.

    Raises:
        ValueError: for content that is no safetensors file; names the file.
    """
    try:
        loaded = safetensors.torch.load(content)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{source} is damaged: no safetensors file ({error})") from error
    # Views into the file can be unaligned, and CPU kernels may round differently by alignment:
    # copies are aligned as the tensors were that were saved.
    return {name: tensor.clone() for name, tensor in loaded.items()}


def _encode(value: Any, tensors: Tensors, depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueError(f"a state can be nested {DEEPEST} deep, and cannot hold itself")
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"": "float", "text": repr(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.Tensor | np.ndarray):
        kind = "tensor" if isinstance(value, torch.Tensor) else "array"
        key = str(len(tensors))
        tensors[key] = torch.as_tensor(value).detach().cpu().clone().contiguous()
        return {"": kind, "key": key}
    if isinstance(value, list):
        return [_encode(item, tensors, depth + 1) for item in value]
    if isinstance(value, tuple):
        return {"": "tuple", "items": [_encode(item, tensors, depth + 1) for item in value]}
    if isinstance(value, dict):
        pairs = [[_encode(each, tensors, depth + 1) for each in pair] for pair in value.items()]
        return {"": "dict", "items": pairs}
    raise TypeError(f"a state cannot hold {value!r} of type {type(value).__name__}")


def _decode(value: Any, tensors: Tensors, depth: int) -> Any:
    if depth > 2 * DEEPEST:  # a pair of a dict is a level of its own
        raise ValueError("it is nested too deeply")
    if isinstance(value, list):
        return [_decode(item, tensors, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    match value[""]:
        case "tensor":
            return tensors[value["key"]]
        case "array":
            return tensors[value["key"]].numpy()
        case "float":
            return float(value["text"])
        case "tuple":
            return tuple(_items(value, tensors, depth))
        case "dict":
            return dict(_items(value, tensors, depth))
        case kind:
            raise ValueError(f"there is no kind of value {kind!r}")


def _items(value: dict[str, Any], tensors: Tensors, depth: int) -> list[Any]:
    items = value["items"]
    if not isinstance(items, list):
        raise TypeError(f"items must be a list, not {items!r}")
    return [_decode(item, tensors, depth + 1) for item in items]
