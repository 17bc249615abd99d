"""Compare a rule of your own with a published method on the same seed."""

import gymnasium as gym
import numpy as np

from mtlgym import agents

OPTIONS = {"epochs": 1, "batch_size": 500, "dim": 8, **agents.environment_options("dwa")}


class HardestTask:
    """All weight on the task whose loss is the largest."""

    def act(self, observation, info):
        """The weights for the pending batch."""
        return len(observation) * np.eye(len(observation), dtype=np.float32)[observation.argmax()]

    def learn(self, *step):
        """Nothing is learnt."""


def train(env, agent):
    """The validation score after one episode."""
    observation, info = env.reset(seed=0)
    finished = False
    while not finished:
        action = agent.act(observation, info)
        after, reward, terminated, truncated, info = env.step(action)
        agent.learn(observation, action, reward, after, terminated, truncated, info)
        observation, finished = after, terminated or truncated
    return env.unwrapped.episode.learner.validation.score


env = gym.make("mtlgym:MTL-QM9-Mini-v0", **OPTIONS)
dwa = agents.make("dwa", env.observation_space, env.action_space)
print("hardest task:", train(env, HardestTask()), " dwa:", train(env, dwa))
