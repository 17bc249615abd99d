"""Gymnasium environments in which training a multi-task model is the MDP.

Importing the package registers every `MTL-...` id; models, data and their libraries are imported
when an environment is made.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mtlgym.presets.environments import register_all

if TYPE_CHECKING:
    from mtlgym import balancing, envs, problems, report
    from mtlgym.balancing.balancer import Balancer

__version__ = "0.1.0"
__all__ = ["Balancer", "__version__", "agents", "balancing", "envs", "problems", "report"]

register_all()


def __getattr__(name: str) -> Any:
    """Import on first use: these need torch, whose import takes seconds."""
    if name == "Balancer":
        return import_module("mtlgym.balancing.balancer").Balancer
    if name in __all__:
        return import_module(f"mtlgym.{name}")
    raise AttributeError(f"module 'mtlgym' has no attribute {name!r}")
