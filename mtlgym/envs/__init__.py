"""Gymnasium environments: an episode is a training run, a route through a network, or a bandit."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mtlgym.envs.bandit import BanditEnv, BanditVectorEnv
    from mtlgym.envs.routing import RoutingEnv, RoutingVectorEnv
    from mtlgym.envs.training import TrainingEnv
    from mtlgym.envs.training.observations import FEATURES
    from mtlgym.envs.training.rewards import REWARDS

__all__ = [
    "FEATURES",
    "REWARDS",
    "BanditEnv",
    "BanditVectorEnv",
    "RoutingEnv",
    "RoutingVectorEnv",
    "TrainingEnv",
]

MODULES = {
    "FEATURES": "training.observations",
    "REWARDS": "training.rewards",
    "BanditEnv": "bandit",
    "BanditVectorEnv": "bandit",
    "RoutingEnv": "routing",
    "RoutingVectorEnv": "routing",
    "TrainingEnv": "training",
}


def __getattr__(name: str) -> Any:
    """Import on first use: most of these need torch, whose import takes seconds."""
    if name not in MODULES:
        raise AttributeError(f"module 'mtlgym.envs' has no attribute {name!r}")
    return getattr(import_module(f"mtlgym.envs.{MODULES[name]}"), name)
