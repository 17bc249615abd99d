"""Segment, measure and orient rendered rooms, with IGBv1 and Nash-MTL under its weights."""

import gymnasium as gym

from mtlgym import agents

SPEC = "igbv1+nash"
SMALL = {"epochs": 3, "rooms": [12, 4, 4], "filters": [4, 8], "height": 24, "width": 32}

env = gym.make("mtlgym:MTL-Rooms-v0", **SMALL, **agents.environment_options(SPEC))
agent = agents.make(SPEC, env.observation_space, env.action_space, seed=0)
observation, info = env.reset(seed=0)
finished = False
while not finished:
    action = agent.act(observation, info)
    after, reward, terminated, truncated, info = env.step(action)
    agent.learn(observation, action, reward, after, terminated, truncated, info)
    observation, finished = after, terminated or truncated
for name, value in env.unwrapped.evaluate("val").items():
    print(f"{name:26} {value:.3f}")
