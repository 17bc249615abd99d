"""What a loss method is, and the short text that names one with its settings."""

import json
import re
from dataclasses import fields, replace
from typing import Any, Protocol, cast, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from mtlgym.balancing.gradients import GRADIENT_METHODS
from mtlgym.balancing.losses import LOSS_METHODS
from mtlgym.balancing.objective import TRANSFORMS
from mtlgym.balancing.state import load_state_dict, state_dict
from mtlgym.lookup import lookup, unknown
from mtlgym.record import Record

__all__ = ["Method", "load_state_dict", "parse", "state_dict", "with_transform"]


@runtime_checkable
class Method(Protocol):
    """A loss method: a dataclass whose public fields are settings and whose private ones are state.

    It is called exactly once a step. It gives its private fields new values and changes none in
    place, so a shallow copy of it is a copy of its state.
    """

    @property
    def transform(self) -> str:
        """The objective that the weights are for: "none" or "log"."""

    @property
    def needs_gramian(self) -> bool:
        """Whether each step costs one backward pass a task; False for every loss method."""

    @property
    def needs_same_batch(self) -> bool:
        """Whether `update(before, after)` wants a batch's losses before and after its step."""

    @property
    def needs_epochs(self) -> bool:
        """Whether it reads `record.epoch`."""

    def __call__(self, record: Record) -> Float[Tensor, " tasks"]:
        """The weights of this step, float64 on the CPU, from losses, step and epoch alone."""


def with_transform(method: Method, transform: str) -> Method:
    """A fresh instance with the same settings whose weights multiply the transformed losses.

    Raises:
        ValueError: for an unknown transform, and for a method whose weights hold for one only.
    """
    _check_transform(transform)
    settings = cast(Any, method)
    if transform == method.transform:
        return replace(settings)
    if "transform" not in {f.name for f in fields(settings)}:
        raise ValueError(
            f"`transform` of {type(method).__name__} can only be {method.transform!r}, "
            f"not {transform!r}: its weights are those of its own objective"
        )
    return replace(settings, transform=transform)


def parse(spec: str) -> tuple[Method | None, str | None]:
    """Read "LOSS", "LOSS+si", "LOSS+GRADIENT", "LOSS+si+GRADIENT" or "GRADIENT".

    LOSS may carry settings: "dwa:temperature=1.5,window=25", "fixed:weights=[1, 2, 3]"; values are
    JSON. "+si" puts the weights under the log transform, as "DWA + SI" in table 4 of Dai, Fei, Lu
    (UAI 2023).

    Returns:
        A fresh loss method, or None, and the name of a gradient method, or None.

    Raises:
        ValueError: says which part is not understood, and what is known.
    """
    first, *rest = re.split(r"\+(?=[A-Za-z_])", spec)  # not the + of 1e+3
    name, _, settings = first.partition(":")
    if name not in LOSS_METHODS:
        lookup({**LOSS_METHODS, **GRADIENT_METHODS}, first, "method")
        method, rest = None, [first, *rest]
    else:
        method = _build(name, settings)
        if rest[:1] == ["si"]:
            method, rest = with_transform(method, "log"), rest[1:]
    if len(rest) > 1:
        raise ValueError(f"`spec` must name at most one gradient method, not {rest}, in {spec!r}")
    for gradient in rest:
        lookup(GRADIENT_METHODS, gradient, "gradient method")
    return method, (rest[0] if rest else None)


def _check_transform(transform: str) -> None:
    if transform not in TRANSFORMS:
        raise ValueError(unknown(transform, TRANSFORMS, "transform"))


def _build(name: str, settings: str) -> Method:
    kind = LOSS_METHODS[name]
    defaults = {f.name: f.default for f in fields(kind) if f.init}
    values: dict[str, Any] = {}
    for setting in re.split(r",(?![^\[]*\])", settings) if settings else []:
        key, _, text = (part.strip() for part in setting.partition("="))
        if key not in defaults:
            raise ValueError(unknown(key, defaults, f"setting of method {name!r}"))
        values[key] = _value(f"setting `{key}` of method {name!r}", text, defaults[key])
    method = kind(**values)
    _check_transform(method.transform)
    return method


def _value(what: str, text: str, default: Any) -> Any:
    """The JSON value in `text`, of the same type as the default."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{what} must be a JSON value, not {text!r}") from error
    if isinstance(default, float) and type(value) is int:
        return float(value)
    wanted = list if isinstance(default, tuple) else type(default)
    if type(value) is not wanted:
        raise ValueError(f"{what} must be of type {wanted.__name__}, not {text}")
    return value
