"""Loss and gradient balancing: from the tasks' losses or gradients to their weights."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mtlgym.balancing.aggregate import aggregate
from mtlgym.balancing.gradients import GRADIENT_METHODS
from mtlgym.balancing.gramian import gramian
from mtlgym.balancing.losses import LOSS_METHODS
from mtlgym.balancing.method import (
    Method,
    gradient_method,
    load_state_dict,
    parse,
    state_dict,
    with_transform,
)
from mtlgym.balancing.objective import TRANSFORMS, weighted

if TYPE_CHECKING:
    from mtlgym.balancing.balancer import Balancer

__all__ = [
    "GRADIENT_METHODS",
    "LOSS_METHODS",
    "TRANSFORMS",
    "Balancer",
    "Method",
    "aggregate",
    "gradient_method",
    "gramian",
    "load_state_dict",
    "parse",
    "state_dict",
    "weighted",
    "with_transform",
]


def __getattr__(name: str) -> Any:
    """Balancer stands on the methods here and on the per-task gradients of `mtlgym.training`."""
    if name == "Balancer":
        return import_module("mtlgym.balancing.balancer").Balancer
    raise AttributeError(f"module 'mtlgym.balancing' has no attribute {name!r}")
