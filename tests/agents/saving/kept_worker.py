"""Agents that are trained a little, kept, and continued in another process."""

import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces

from mtlgym import agents
from mtlgym.balancing import LOSS_METHODS
from tests.agents.bandits.choices import NOT_ARMS, ROUTERS, Bernoulli, play
from tests.agents.routing.toy_routes import Routes
from tests.agents.weights.decay import Decay, Run

SMALL = "update_every=5,updates=2,update_epoch=3,use_epoch=4,buffer_size=40,hidden=[16, 16]"
MORE = ("q_learning:representation=network", "reinforce:baseline=mean", "wpl:dispatch=learned")
NAMES = [name for name in agents.AGENTS if name != "igbv2"]
# "famo" needs an environment that looks twice at each batch, "fixed" its weights
METHODS = [name for name in LOSS_METHODS if name not in ("famo", "fixed")]
FIXED = "fixed:weights=[1, 2, 3]"
SPECS = [f"igbv2:{SMALL}", *NAMES, *MORE, *METHODS, FIXED, "exp3s:eta=0.1"]
ROWS = ("exp3", "exp3s", "thompson", "uniform", "counterfactual", "sliding_window_ucb")
MEANS = [[0.2, 0.8, 0.4], [0.9, 0.1, 0.5]]
QM9 = f"igbv2:{SMALL},learning_rate=0.001"
TINY: dict[str, Any] = {
    "batch_size": 500,
    "epochs": 8,
    "dim": 4,
    "edge_hidden": 2,
    "actions": "weights",
}


def world(spec):
    """An environment whose actions the agent takes."""
    name = spec.partition(":")[0]
    if name in ROUTERS:
        return Routes()
    return Decay() if name in (*NOT_ARMS, *LOSS_METHODS) else Bernoulli()


def trained(spec, seed=3):
    """The agent after some steps."""
    env = world(spec)
    agent = agents.make(spec, env.observation_space, env.action_space, seed)
    Run(agent, env).go(57)
    return agent


def rows(name):
    """An agent for two environments, after some steps."""
    agent = agents.make(name, spaces.Discrete(1), spaces.MultiDiscrete([3, 3]), 4)
    play(agent, MEANS, 30)
    return agent


def qm9():
    """A training on molecules, made as in both processes."""
    env = gym.make("mtlgym:MTL-QM9-Mini-v0", **TINY)
    env.reset(seed=0)
    return env


def go(agent, env, observation, info, steps):
    """The actions of that many steps of a training that is under way."""
    actions = []
    for _ in range(steps):
        action = agent.act(observation, info)
        after, reward, terminated, truncated, info = env.step(action)
        agent.learn(observation, action, reward, after, terminated, truncated, info)
        observation = after
        actions.append(action)
    return np.array(actions), observation, info


def main(folder):
    """Load what is in the folder, go on, and write down what was done."""
    torch.set_num_threads(1)
    found = {}
    for index, spec in enumerate(SPECS):
        found[f"one-{index}"] = Run(agents.load(folder / f"one-{index}"), world(spec)).go(20)
    for name in ROWS:
        found[f"rows-{name}"] = play(agents.load(folder / f"rows-{name}"), MEANS, 20, seed=1)
    env, agent = qm9(), agents.load(folder / "qm9")
    observation, info = env.unwrapped.load(folder / "env")
    found["qm9"] = go(agent, env, observation, info, 15)[0]
    np.savez(folder / "found.npz", **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
