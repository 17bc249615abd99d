"""Two processes train one model, each on half of every batch; the agent is in the first one.

    torchrun --nproc_per_node 2 examples/15_data_parallel.py

Without torchrun it runs in one process, with the same results up to rounding.
"""

import os

import gymnasium as gym

from mtlgym import agents

LEADS = int(os.environ.get("RANK", 0)) == 0  # torchrun sets it

env = gym.make(
    "mtlgym:MTL-QM9-Mini-v0",
    distributed="RANK" in os.environ,
    actions="weights",
    steps=6,
    batch_size=100,
)
if LEADS:
    agent = agents.BalancingPolicy(env.observation_space, env.action_space, method="igbv1")
    observation, info = env.reset(seed=0)
    finished = False
    while not finished:
        action = agent.act(observation, info)
        observation, _, terminated, truncated, info = env.step(action)
        finished = terminated or truncated
    print(f"mean loss {info['losses'].mean():.4f} after {info['step']} steps")
else:
    env.unwrapped.follow()  # until the first process closes its environment
env.close()
