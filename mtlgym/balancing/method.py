"""What a loss method is, and the short text that names methods with their settings."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any, Protocol, cast, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from mtlgym.balancing.gradients import GRADIENT_METHODS, GradientMethod
from mtlgym.balancing.gradients.torchjd import TorchJD
from mtlgym.balancing.losses import LOSS_METHODS
from mtlgym.balancing.objective import TRANSFORMS
from mtlgym.balancing.state import load_state_dict, state_dict
from mtlgym.lookup import lookup, unknown
from mtlgym.record import Record

__all__ = [
    "GradientMethod",
    "Method",
    "gradient_method",
    "load_state_dict",
    "parse",
    "read_settings",
    "state_dict",
    "with_transform",
]

TORCHJD = "torchjd"
GRADIENTS = (*GRADIENT_METHODS, TORCHJD)


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
    def needs_same_batch(self) -> bool:
        """Whether `update(before, after)` takes a batch's losses before and after its step."""

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


def parse(spec: str) -> tuple[Method | None, GradientMethod | None]:
    """Read "LOSS", "LOSS+si", "LOSS+GRADIENT", "LOSS+si+GRADIENT" or "GRADIENT".

    LOSS and GRADIENT may carry settings: "dwa:temperature=1.5,window=25", "cagrad:c=0.4",
    "fixed:weights=[1, 2, 3]"; values are JSON. "+si" puts the weights under the log transform, as
    "DWA + SI" in table 4 of Dai, Fei, Lu (UAI 2023). "torchjd:NAME" and "torchjd:NAME,c=0.4" are
    the aggregators of TorchJD as gradient methods.

    Returns:
        A fresh loss method, or None, and a fresh gradient method, or None.

    Raises:
        ValueError: names the part that is not understood, and the known names.
        ImportError: for "torchjd:NAME" without TorchJD.
    """
    first, *rest = re.split(r"\+(?=[A-Za-z_])", spec)  # not the + of 1e+3
    name, _, settings = first.partition(":")
    method: Method | None = None
    if name in LOSS_METHODS:
        method = _build(LOSS_METHODS, name, settings)
        _check_transform(method.transform)
        if rest[:1] == ["si"]:
            method, rest = with_transform(method, "log"), rest[1:]
    else:
        if name not in GRADIENTS:
            raise ValueError(unknown(first, [*LOSS_METHODS, *GRADIENTS], "method"))
        rest = [first, *rest]
    if len(rest) > 1:
        raise ValueError(f"`spec` must name at most one gradient method, not {rest}, in {spec!r}")
    return method, (gradient_method(rest[0]) if rest else None)


def gradient_method(spec: str) -> GradientMethod:
    """Read "GRADIENT" or "GRADIENT:key=value,...", as `parse` does.

    Raises:
        ValueError: names the part that is not understood, and the known names.
        ImportError: for "torchjd:NAME" without TorchJD.
    """
    name, _, settings = spec.partition(":")
    lookup(dict.fromkeys(GRADIENTS), name, "gradient method")
    if name != TORCHJD:
        return _build(GRADIENT_METHODS, name, settings)
    aggregator, _, rest = settings.partition(",")
    given = {key: _json(f"setting `{key}` of {aggregator}", text) for key, text in _pairs(rest)}
    return TorchJD(aggregator.strip(), given)


def _check_transform(transform: str) -> None:
    if transform not in TRANSFORMS:
        raise ValueError(unknown(transform, TRANSFORMS, "transform"))


def read_settings(text: str, defaults: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Read "key=value,key=value", values as JSON, or bare texts, of the same type as the defaults.

    Raises:
        ValueError: for a key that is not among the defaults, or a value of another type.
    """
    values: dict[str, Any] = {}
    for key, value in _pairs(text):
        if key not in defaults:
            raise ValueError(unknown(key, defaults, f"setting of {owner}"))
        values[key] = _value(f"setting `{key}` of {owner}", value, defaults[key])
    return values


def _build(table: Mapping[str, type], name: str, settings: str) -> Any:
    kind = table[name]
    defaults = {f.name: f.default for f in fields(kind) if f.init}
    return kind(**read_settings(settings, defaults, f"method {name!r}"))


def _pairs(settings: str) -> Iterator[tuple[str, str]]:
    """Keys and texts of "key=text,key=text"; a comma in brackets divides nothing."""
    for setting in re.split(r",(?![^\[]*\])", settings) if settings else []:
        key, _, text = (part.strip() for part in setting.partition("="))
        yield key, text


def _json(what: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{what} must be a JSON value, not {text!r}") from error


def _value(what: str, text: str, default: Any) -> Any:
    """The JSON value in `text`, of the same type as the default; a text needs no quotes."""
    if isinstance(default, str) and text and not text.startswith('"'):
        return text
    value = _json(what, text)
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if default is None:
        return value
    wanted = list if isinstance(default, tuple) else type(default)
    if type(value) is not wanted:
        raise ValueError(f"{what} must be of type {wanted.__name__}, not {text}")
    return value
