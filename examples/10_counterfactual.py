"""Log a run's decisions, evaluate other policies from that log, and search for a better one."""

from pathlib import Path

import gymnasium as gym
import numpy as np

from mtlgym.agents import OffPolicyLog, UniformRandom
from mtlgym.agents.off_policy.estimators import effective_sample_size, evaluate
from mtlgym.agents.off_policy.logged_sums import LoggedSums
from mtlgym.agents.off_policy.policy_search import improve_grid

env = gym.make("mtlgym:MTL-Bandit-v0", steps=2000, reward="improvement")
agent = UniformRandom(env.observation_space, env.action_space, seed=0)
observation, info = env.reset(seed=0)
oracle = info["oracle"]
path = Path("uniform.log")
with OffPolicyLog.create(path, arms=8, policy="uniform") as log:
    done = False
    while not done:
        action = agent.act(observation, info)
        observation, reward, _, done, info = env.step(action)
        log.write(action, agent.probabilities[action], reward)

sums = LoggedSums.of(path)  # two sums an arm are all that a policy's value depends on
first = np.eye(8)[0] * 0.9 + 0.1 / 8
print(f"value of uniform {evaluate(sums, np.full(8, 1 / 8)):.3f}, mostly arm 0", end=" ")
print(f"{evaluate(sums, first):.3f} (as good as {effective_sample_size(sums, first):.0f} samples)")
for entropy, policy in improve_grid(sums, rng=np.random.default_rng(0)).items():
    print(f"lambda {entropy}: {policy.round(2)}")
print(f"the oracle:  {oracle.round(2)}")
