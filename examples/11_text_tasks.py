"""Choose the next text task by Exp3.S, and print which tasks it prefers."""

import gymnasium as gym

from mtlgym import agents

SPEC = "exp3s:eta=0.1"
SMALL = {"steps": 60, "layers": 1, "width": 32, "batch_size": 8, "validate_steps": 60}

env = gym.make("mtlgym:MTL-TextMix-v0", **SMALL, **agents.environment_options(SPEC))
agent = agents.make(SPEC, env.observation_space, env.action_space, seed=0)
observation, info = env.reset(seed=0)
sizes, done = info["task_sizes"], False
while not done:
    action = agent.act(observation, info)
    after, reward, terminated, truncated, info = env.step(action)
    agent.learn(observation, action, reward, after, terminated, truncated, info)
    observation, done = after, terminated or truncated
for row in zip(env.unwrapped.problem.tasks, sizes, agent.probabilities, strict=True):
    print("{:13} {:5} samples, probability {:.3f}".format(*row))
