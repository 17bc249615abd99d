"""Training a multi-task model: task weights, or the next task, are the decision."""

from mtlgym.envs.training.env import TrainingEnv

__all__ = ["TrainingEnv"]
