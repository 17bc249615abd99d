"""A toy training whose losses decay, and agents that run on it."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from mtlgym.agents import IGBv2

PER_EPOCH = 10
BOXES = {"weights": (0, np.inf), "logits": (-1, 1)}


class Decay(gym.Env):
    """Losses decay as fast as their weights; the reward is the log share of task 0."""

    def __init__(self, actions="weights", tasks=3):
        self._tasks = tasks
        low, high = BOXES[actions]
        self.observation_space = spaces.Box(0, np.inf, (tasks,), np.float32)
        self.action_space = spaces.Box(low, high, (tasks,), np.float32)
        self._logits = actions == "logits"

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._losses, self._step = np.ones(self._tasks), 0
        return self._losses.astype(np.float32), self._info()

    def step(self, action):
        shares = np.exp(2 * action) if self._logits else action
        shares = shares / shares.sum()
        noise = self.np_random.normal(size=len(shares))
        self._losses = self._losses * np.exp(-0.01 * shares + 0.001 * noise)
        self._step += 1
        reward = float(np.log(shares[0] + 1e-6))
        return self._losses.astype(np.float32), reward, False, False, self._info()

    def _info(self):
        epoch = 1 + self._step // PER_EPOCH
        losses = self._losses.astype(np.float32).astype(float)
        return {"losses": losses, "epoch": epoch, "step": self._step, "reward_ready": epoch > 2}


def make(env, seed=0, **numbers):
    return IGBv2(env.observation_space, env.action_space, seed=seed, **numbers)


def small(env, seed=0, **numbers):
    sizes = {"hidden": (16, 16), "update_every": 5, "updates": 2, "buffer_size": 25}
    return make(env, seed, **(sizes | numbers))


class Run:
    """An agent and an environment that go on together."""

    def __init__(self, agent, env):
        self.agent, self.env = agent, env
        self.observation, self.info = env.reset(seed=0)

    def go(self, steps):
        """The actions of that many steps."""
        actions = []
        for _ in range(steps):
            action = self.agent.act(self.observation, self.info)
            after, reward, terminated, truncated, self.info = self.env.step(action)
            self.agent.learn(
                self.observation, action, reward, after, terminated, truncated, self.info
            )
            self.observation = after
            if terminated or truncated:
                self.observation, self.info = self.env.reset()
            actions.append(action)
        return np.stack(actions)
