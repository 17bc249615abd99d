"""Make an environment, weigh its tasks at random, and evaluate the model."""

import gymnasium as gym

import mtlgym  # noqa: F401, registers the ids

env = gym.make("MTL-QM9-Mini-v0", steps=16, batch_size=100)
observation, info = env.reset(seed=0)  # the losses of eleven tasks
env.action_space.seed(0)
finished = False
while not finished:
    action = env.action_space.sample()  # logits in [-1, 1]
    observation, reward, terminated, truncated, info = env.step(action)
    finished = terminated or truncated
for name, error in env.unwrapped.evaluate("val").items():
    print(f"{name:10} {error:8.3f}")
