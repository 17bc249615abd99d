"""Routing networks: which function block a sample goes through next is the decision."""

from mtlgym.envs.routing.env import RoutingEnv
from mtlgym.envs.routing.vector import RoutingVectorEnv

__all__ = ["RoutingEnv", "RoutingVectorEnv"]
