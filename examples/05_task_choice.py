"""Choose the next task instead of weighing all; the reward is the prediction gain of the step."""

import gymnasium as gym

import mtlgym  # noqa: F401, registers the ids

env = gym.make(
    "MTL-QM9-Mini-v0",
    epochs=1,
    batch_size=500,
    interface="tasks",
    reward="prediction_gain",
    observation=("losses", "since_chosen", "progress"),
)
observation, info = env.reset(seed=0)
gains = []
for step in range(11):
    observation, reward, terminated, truncated, info = env.step(step)
    gains.append(round(reward, 4))
print("gain of the first step on each task:", gains)
