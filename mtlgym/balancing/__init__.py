"""Loss and gradient balancing: from the tasks' losses or gradients to their weights."""

from mtlgym.balancing.aggregate import aggregate
from mtlgym.balancing.balancer import Balancer
from mtlgym.balancing.gradients import GRADIENT_METHODS, GradientMethod
from mtlgym.balancing.gramian import gramian
from mtlgym.balancing.jacobian import STRATEGIES
from mtlgym.balancing.losses import LOSS_METHODS
from mtlgym.balancing.method import Method, gradient_method, parse, with_transform
from mtlgym.balancing.objective import TRANSFORMS, weighted
from mtlgym.balancing.state import load_state_dict, state_dict

__all__ = [
    "GRADIENT_METHODS",
    "LOSS_METHODS",
    "STRATEGIES",
    "TRANSFORMS",
    "Balancer",
    "GradientMethod",
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
