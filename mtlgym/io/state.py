"""Nested state as plain JSON and tensors beside it: what the library's saved files hold.

Dicts, tuples, arrays and tensors stand in the JSON as objects whose key "" says which they are, and
so do floats that JSON has no number for. Reading makes nothing but these values: no code is called,
whatever a file says.
"""

import json
import math
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError

DEEPEST = 100  # values inside one another; far below what recursion takes

Tensors = dict[str, torch.Tensor]


def encode(state: Any) -> tuple[Any, Tensors]:
    """Dicts, lists and tuples of tensors, arrays, numbers, strings, bools and None, as JSON.

    Returns:
        What `json.dumps` takes, and copies of the tensors and arrays by the names they have there.

    Raises:
        TypeError: for any other value; names it.
        ValueError: for a state that holds itself, or is nested deeper than `DEEPEST`.
    """
    tensors: Tensors = {}
    return _encode(state, tensors, 0), tensors


def decode(structure: Any, tensors: Tensors, source: str) -> Any:
    """The state that `encode` took.

    Args:
        structure: what stood in the JSON.
        tensors: those that go with it.
        source: the file, for messages.

    Raises:
        ValueError: for what `encode` cannot have made; names the file.
    """
    try:
        return _decode(structure, tensors, 0)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{source} is damaged: it holds no state ({error!r})") from error


def parse(text: str | bytes, source: str) -> Any:
    """What the JSON says.

    Raises:
        ValueError: for what is no JSON, or nested too deeply; names the file.
    """
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{source} is damaged: it is not JSON ({error})") from error


def read_tensors(content: bytes, source: str) -> Tensors:
    """The tensors in a safetensors file's content.

    Raises:
        ValueError: for what is no such file; names it.
    """
    try:
        loaded = safetensors.torch.load(content)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{source} is damaged: no safetensors file ({error})") from error
    # Views of the file may begin anywhere, and CPU kernels round by their operands' alignment:
    # what is loaded lies in memory as what was saved did.
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
