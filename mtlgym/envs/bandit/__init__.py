"""The synthetic MTL bandit, as one environment and as a vector of thousands."""

from mtlgym.envs.bandit.env import BanditEnv
from mtlgym.envs.bandit.vector import BanditVectorEnv

__all__ = ["BanditEnv", "BanditVectorEnv"]
