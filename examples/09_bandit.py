"""Run 64 bandits at once, and compare Exp3.S and Resting with the oracle's score."""

import gymnasium as gym
import numpy as np

import mtlgym
from mtlgym import agents

print(f"mtlgym {mtlgym.__version__}, 64 bandits of 8 arms, 500 steps")
for spec in ("uniform", "exp3s", "resting", "oracle"):
    env = gym.make_vec("MTL-Bandit-v0", num_envs=64, steps=500)
    agent = agents.make(spec, env.observation_space, env.action_space, seed=0)
    observation, info = env.reset(seed=0)
    done = False
    while not done:
        action = agent.act(observation, info)
        after, reward, terminated, truncated, info = env.step(action)
        agent.learn(observation, action, reward, after, terminated, truncated, info)
        observation, done = after, bool(np.all(truncated))
    print(f"{spec:8} mean score {info['mean_score'].mean():.3f}")
