"""A router learns which blocks of a network the tasks share, while the network is trained."""

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from mtlgym import agents

UPDATES = 60  # minibatches; a whole training has about 1,500

env = gym.make_vec("mtlgym:MTL-Emoji-Routing-v0", 64, autoreset_mode=AutoresetMode.SAME_STEP)
routing = env.unwrapped
agent = agents.WPL(env.observation_space, env.action_space, seed=0)
observation, info = env.reset(seed=0)
while info["updates"] < UPDATES:
    action = agent.act(observation, info)
    after, reward, terminated, truncated, info = env.step(action)
    agent.learn(observation, action, reward, after, terminated, truncated, info)
    observation = after

accuracies = routing.evaluate("val", agent.greedy)
evaluation = routing.evaluate_routes("val", agent.greedy)
routes = evaluation.shares(len(routing.problem.tasks), 6).argmax(axis=2)
for (name, accuracy), route in zip(accuracies.items(), routes, strict=True):
    print(f"{name:20} {accuracy:.0%}  blocks {route}")
print(f"mean {np.mean(list(accuracies.values())):.0%} after {UPDATES} minibatches")
