"""Small problems in double precision, whose losses are means over the samples and no more."""

import dataclasses

import numpy as np
import torch
from torch import distributed, nn

from mtlgym.agents import BalancingPolicy
from mtlgym.envs.training.env import TrainingEnv
from tests.envs.training.toy import TASKS, Numbers, Pair, losses, toy

STEPS = 22


def rank():
    return distributed.get_rank() if distributed.is_initialized() else 0


class Exact(Numbers):
    """No noise: it would be drawn for a share of the rows."""

    def batch(self, source, indices, seed):
        return Pair(self.x[source][indices].double(), self.y[source][indices].double())


class Net(nn.Module):
    """No batch norm or dropout, which see the share of the rows."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.LayerNorm(8))
        self.heads = nn.ModuleList(nn.Linear(8, 1) for _ in TASKS)
        self.double()

    def forward(self, x):
        hidden = self.trunk(x)
        return torch.cat([head(hidden) for head in self.heads], dim=1)


def measure(model, split):
    return {
        f"{name}/mae": float((model(x.double())[:, t] - y.double()[:, t]).abs().mean())
        for t, (name, x, y) in enumerate(zip(TASKS, split.x * 3, split.y * 3, strict=False))
    }


def exact(sources=1, size=43, losses=losses):
    """`size` samples of the first source."""
    splits = {s: Exact(size, sources, k) for k, s in enumerate(("train", "val", "test"))}
    problem = toy(sources, losses=losses, build=Net)
    return dataclasses.replace(problem, splits=splits, measure=measure)


def make(parallel, sources=1, size=43, losses=losses, **options):
    """An environment whose epochs' last batch is of `size % 10` samples."""
    problem = exact(sources, size, losses)
    options = {"epochs": 6, "batch_size": 10, "lr": 1e-2, **options}
    return TrainingEnv(problem, distributed=parallel, **options)


def trace(env, act, steps=STEPS, seed=0):
    """Losses, rewards and weights of so many steps, (steps, 7), and the parameters at the end."""
    observation, info = env.reset(seed=seed)
    rows = []
    for _ in range(steps):
        observation, reward, terminated, _, info = env.step(act(observation, info))
        rows.append(np.concatenate([info["losses"], [reward], info["weights"]]))
        if terminated:
            break
    return {"rows": torch.tensor(np.array(rows)), "parameters": parameters(env)}


def parameters(env):
    return torch.cat([p.detach().flatten() for p in env.episode.learner.model.parameters()])


def equal_weights(observation, info):
    return np.ones(3, np.float32)


def worst(observation, info):
    """The task whose latest loss is the largest."""
    return int(np.argmax(info["losses"]))


def policy(method, env):
    agent = BalancingPolicy(env.observation_space, env.action_space, method=method)
    return agent.act


class OnRankOne:
    """Sound losses, but for what befalls the middle task's in the second process, in some calls."""

    def __init__(self, fault, first, last=10**9):
        self.fault, self.at_fault, self.calls = fault, range(first, last + 1), 0

    def __call__(self, model, batch):
        self.calls += 1
        values = losses(model, batch)
        if rank() != 1 or self.calls not in self.at_fault:
            return values
        return torch.stack([values[0], self.fault(values[1]), values[2]])


def not_a_number(loss):
    return loss * float("nan")


def steep(loss):
    """The same value, with a derivative past what a number can be."""
    return loss + (loss - loss.detach()) * 1e200 * 1e200


def broken(loss):
    raise RuntimeError("a cable came loose")


class OnceMisshapen:
    """Sound losses, but for one call, in both processes."""

    def __init__(self, call):
        self.call, self.calls = call, 0

    def __call__(self, model, batch):
        self.calls += 1
        return losses(model, batch)[: 2 if self.calls == self.call else 3]
