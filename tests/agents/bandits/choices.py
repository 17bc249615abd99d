"""Small bandits for the agents that choose arms, alone and many at once."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from mtlgym.agents import AGENTS

OBSERVATIONS = spaces.Box(0, 1, (1,), np.float32)
NOTHING = np.zeros(1, np.float32)
KINDS = {name: entry.decides for name, entry in AGENTS.items()}
NOT_ARMS = [name for name, decides in KINDS.items() if decides == ("weights",)]
ROUTERS = [name for name, decides in KINDS.items() if decides == ("tasks", "blocks")]


def info(means):
    """What tells the policies that do not learn what to do."""
    means = np.asarray(means, float)
    return {
        "oracle": means / means.sum(-1, keepdims=True),
        "task_sizes": np.full(means.shape, 2) + np.arange(means.shape[-1]),
    }


class Bernoulli(gym.Env):
    """Arms that pay 1 with a probability of their own, else 0."""

    observation_space = OBSERVATIONS

    def __init__(self, means=(0.2, 0.8, 0.4)):
        self.means = np.asarray(means)
        self.action_space = spaces.Discrete(len(means))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return NOTHING, info(self.means)

    def step(self, action):
        reward = float(self.np_random.random() < self.means[action])
        return NOTHING, reward, False, False, info(self.means)


def learn(agent, action, reward):
    """Tell the agent of one round."""
    over = np.zeros(np.shape(reward), np.bool_) if np.ndim(reward) else False
    agent.learn(NOTHING, action, reward, NOTHING, over, over, {})


def play(agent, means, rounds, seed=0):
    """The actions of that many rounds against Bernoulli arms, (rounds,) or (rounds, rows)."""
    rng, means, actions = np.random.default_rng(seed), np.asarray(means), []
    for _ in range(rounds):
        action = agent.act(NOTHING, info(means))
        if means.ndim == 1:
            learn(agent, action, float(rng.random() < means[action]))
        else:
            chances = means[np.arange(len(means)), action]
            learn(agent, action, (rng.random(len(means)) < chances).astype(float))
        actions.append(action)
    return np.array(actions)
