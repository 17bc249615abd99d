"""Learn to weigh tasks, save the policy, and train a model of your own with it."""

import tempfile
from pathlib import Path

import gymnasium as gym
import torch

from mtlgym import Balancer, agents

torch.set_num_threads(1)  # with models as small as these, more are slower
SPEC = "igbv2:update_epoch=3,use_epoch=20,update_every=4,updates=8,hidden=[32, 32]"
OPTIONS = agents.environment_options(SPEC)

env = gym.make("mtlgym:MTL-Emoji-v0", steps=40, hidden=32, **OPTIONS)
agent = agents.make(SPEC, env.observation_space, env.action_space, seed=0)
observation, info = env.reset(seed=0)
done = False
while not done:  # a policy worth keeping learns for longer
    action = agent.act(observation, info)
    after, reward, terminated, truncated, info = env.step(action)
    agent.learn(observation, action, reward, after, terminated, truncated, info)
    observation, done = after, terminated or truncated

generator = torch.Generator().manual_seed(0)
x = torch.randn(256, 8, generator=generator)
scales = torch.tensor([1.0, 10.0, 0.1, 3.0])  # of four tasks, as many as in the environment
targets = scales * x[:, :4]

model = torch.nn.Linear(8, 4)
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
with tempfile.TemporaryDirectory() as folder:
    kept = Path(folder) / "policy"
    agents.save(kept, agent, spec=SPEC, seed=0, env=env)
    print("kept:", *sorted(path.name for path in kept.iterdir()))
    balancer = Balancer(agents.method(kept))
for _ in range(80):
    losses = (model(x) - targets).square().mean(dim=0)  # (tasks,)
    optimizer.zero_grad()
    weights = balancer.backward(losses)
    optimizer.step()
print("losses", losses.tolist(), "weights", weights.tolist())
