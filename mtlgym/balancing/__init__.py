"""Loss and gradient balancing: from the tasks' losses or gradients to their weights."""

from mtlgym.balancing.balancer import Balancer
from mtlgym.balancing.gradients import GRADIENT_METHODS
from mtlgym.balancing.losses import LOSS_METHODS
from mtlgym.balancing.method import (
    Method,
    load_state_dict,
    parse,
    state_dict,
    with_transform,
)
from mtlgym.balancing.objective import TRANSFORMS, weighted

__all__ = [
    "GRADIENT_METHODS",
    "LOSS_METHODS",
    "TRANSFORMS",
    "Balancer",
    "Method",
    "load_state_dict",
    "parse",
    "state_dict",
    "weighted",
    "with_transform",
]
