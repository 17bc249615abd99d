"""The documented import path of the parallel form of routing."""

from mtlgym.envs.routing.pettingzoo import RoutingParallelEnv as RoutingParallelEnv
from mtlgym.envs.routing.pettingzoo import parallel as parallel
