"""Train Stable-Baselines3's SAC to weigh the tasks; the environment needs no change."""

import gymnasium as gym
from stable_baselines3 import SAC

import mtlgym  # noqa: F401, registers the ids

env = gym.make("MTL-QM9-Mini-v0", epochs=3, batch_size=1000)
model = SAC("MlpPolicy", env, learning_starts=8, train_freq=4, seed=0)
model.learn(total_timesteps=24)
print(env.unwrapped.evaluate("val"))
