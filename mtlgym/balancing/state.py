"""The state of a method: its private fields, read, copied and put back as plain values."""

import copy
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor


def zero() -> Tensor:
    """A float64 zero of no shape: what a state is for each task before their number is known."""
    return torch.zeros((), dtype=torch.float64)


def state_dict(method: Any) -> dict[str, Any]:
    """The private fields of a method: numbers, tensors, and lists and dicts of them, copied."""
    names = [f.name for f in fields(method) if f.name.startswith("_")]
    return {name: copy.deepcopy(getattr(method, name)) for name in names}


def load_state_dict(method: Any, values: dict[str, Any]) -> None:
    """Give a method the state that `state_dict` returned; the values are copied.

    Raises:
        ValueError: if the keys are not exactly the method's own; its state is then unchanged.
    """
    check_keys(values, state_dict(method), type(method).__name__)
    for name, value in values.items():
        setattr(method, name, copy.deepcopy(value))


def check_keys(values: dict[str, Any], expected: dict[str, Any], owner: str) -> None:
    """Refuse a state whose keys are not those expected.

    Raises:
        ValueError: names the keys given and the keys wanted.
    """
    if values.keys() != expected.keys():
        raise ValueError(
            f"`state` of {owner} must have the keys {sorted(expected)}, not {sorted(values)}"
        )
