"""Per-task gradients of shared parameters: strategies, and the choice among them by timing."""

from mtlgym.balancing.jacobian.strategies import STRATEGIES

__all__ = ["STRATEGIES"]
