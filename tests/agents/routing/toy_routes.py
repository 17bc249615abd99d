"""Small environments in the form of a router's: hidden routes to be found by reward alone."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv


class Routes(gym.Env):
    """Samples of tasks with a hidden route each; +1 for a right answer at the end, else -1.

    The answer is right with the chance `best`, less `lost` for each block off the task's route.
    `masked` forbids, at each depth, the block after the route's.
    """

    def __init__(self, tasks=3, depths=2, blocks=4, best=1.0, lost=1.0, masked=False):
        self.routes = np.random.default_rng(7).integers(blocks, size=(tasks, depths))
        self._chances, self._masked, self._blocks = (best, lost), masked, blocks
        self.observation_space = spaces.Dict(
            value=spaces.Box(-1, 1, (5,), np.float32),
            task=spaces.Discrete(tasks),
            depth=spaces.Discrete(depths),
        )
        self.action_space = spaces.Discrete(blocks)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._task = int(self.np_random.integers(len(self.routes)))
        self._depth = self._wrong = 0
        return self._observe()

    def step(self, action):
        self._wrong += int(action != self.routes[self._task, self._depth])
        self._depth += 1
        over = self._depth == self.routes.shape[1]
        best, lost = self._chances
        right = over and self.np_random.random() < best - lost * self._wrong
        observation, info = self._observe()
        return observation, (2.0 * right - 1.0) * over, over, False, info

    def _observe(self):
        depth = min(self._depth, self.routes.shape[1] - 1)
        value = self.np_random.uniform(-1, 1, 5).astype(np.float32)
        info = {}
        if self._masked:
            mask = np.ones(self._blocks, np.int8)
            mask[(self.routes[self._task, depth] + 1) % self._blocks] = 0
            info = {"action_mask": mask}
        return {"value": value, "task": np.int64(self._task), "depth": np.int64(depth)}, info


def vector(rows, mode=AutoresetMode.NEXT_STEP, **settings):
    """As many of them at once."""
    return SyncVectorEnv([lambda: Routes(**settings)] * rows, autoreset_mode=mode)


def seen(rows=None, task=1, depth=0):
    """What is observed of a sample, or of as many equal ones."""
    shape = () if rows is None else (rows,)
    value = np.full((*shape, 5), 0.5, np.float32)
    return {"value": value, "task": np.full(shape, task), "depth": np.full(shape, depth)}


def run(agent, env, steps, seed=None):
    """The actions of that many steps; a seed starts the environment afresh."""
    observation, info = env.reset(seed=seed)
    actions = []
    for _ in range(steps):
        action = agent.act(observation, info)
        after, reward, terminated, truncated, info = env.step(action)
        agent.learn(observation, action, reward, after, terminated, truncated, info)
        observation = after
        if isinstance(env, gym.Env) and (terminated or truncated):
            observation, info = env.reset()
        actions.append(action)
    return np.array(actions)


def greedy_route(agent, env, task):
    """The blocks that the agent takes in evaluation, (depths,)."""
    return [agent.greedy(seen(None, task, depth), {}) for depth in range(env.routes.shape[1])]


def found(agent, env):
    """The share of hidden routes that the agent takes in evaluation."""
    tasks = range(len(env.routes))
    return np.mean([greedy_route(agent, env, task) == env.routes[task].tolist() for task in tasks])


def greedy_run(agent, env, most=50):
    """The rewards of an episode in evaluation, of `most` steps at most."""
    observation, info = env.reset(seed=0)
    rewards = []
    for _ in range(most):
        action = agent.greedy(observation, info)
        observation, reward, terminated, truncated, info = env.step(action)
        rewards.append(float(reward))
        if terminated or truncated:
            break
    return rewards
