"""A small problem with all that can go wrong in one: running statistics, dropout, two layouts."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from mtlgym.datasets.sources import Source
from mtlgym.envs.training.env import TrainingEnv
from mtlgym.metrics import Metric
from mtlgym.problems.problem import Problem

TASKS = ("left", "middle", "right")


class Numbers:
    """Inputs and one target a task, from one source for all tasks or one source a task."""

    def __init__(self, size, sources, seed):
        rng = np.random.default_rng(seed)
        self.sizes = (size,) if sources == 1 else tuple(size + 4 * t for t in range(sources))
        self.x = [torch.from_numpy(rng.normal(size=(n, 4))).float() for n in self.sizes]
        scale = torch.tensor([0.5, 1.0, 3.0])
        self.y = [x[:, :3] * scale + 0.1 for x in self.x]

    def batch(self, source, indices, seed):
        noise = torch.Generator().manual_seed(seed)
        x = self.x[source][indices]
        x = x + 0.01 * torch.randn(x.shape, generator=noise)
        return Pair(x, self.y[source][indices])


class Pair(tuple):
    def __new__(cls, x, y):
        return super().__new__(cls, (x, y))

    def to(self, device):
        return Pair(self[0].to(device), self[1].to(device))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2))
        self.heads = nn.ModuleList(nn.Linear(8, 1) for _ in TASKS)

    def forward(self, x):
        hidden = self.trunk(x)
        return torch.cat([head(hidden) for head in self.heads], dim=1)


def task_loss(model, batch, task):
    x, y = batch
    return (model(x)[:, task] - y[:, task]).square().mean()


def losses(model, batch):
    if isinstance(batch, Pair):
        x, y = batch
        return (model(x) - y).square().mean(dim=0)
    return torch.stack([task_loss(model, part, task) for task, part in enumerate(batch)])


def measure(model, split):
    values = {}
    for task, name in enumerate(TASKS):
        x, y = split.x[task % len(split.x)], split.y[task % len(split.x)]
        values[f"{name}/mae"] = float((model(x)[:, task] - y[:, task]).abs().mean())
    return values


def toy(sources=1, losses=losses, build=Net):
    """The problem; `losses` and `build` may be replaced to break it."""
    return Problem(
        name="toy",
        tasks=TASKS,
        splits={s: Numbers(40, sources, seed) for seed, s in enumerate(("train", "val", "test"))},
        build=build,
        losses=losses,
        task_loss=task_loss,
        measure=measure,
        metrics=tuple(Metric(name, "mae") for name in TASKS),
        source=Source("toy", "embedded", Path("toy"), "0" * 64),
    )


LAYOUTS = [
    {"sources": sources, "interface": interface}
    for sources in (1, 3)
    for interface in ("weights", "tasks")
]


def make(sources=1, **options):
    """An environment of the small problem, 4 or 5 steps an epoch."""
    return TrainingEnv(toy(sources), **{"epochs": 3, "batch_size": 10, **options})


def rollout(env, seed=0, steps=None, between=None):
    """Observations, rewards and infos of random actions until the end, or that many."""
    env.action_space.seed(seed)
    trace = [env.reset(seed=seed)]
    while steps is None or len(trace) <= steps:
        trace.append(env.step(env.action_space.sample()))
        if between is not None:
            between.step(between.action_space.sample())
        if trace[-1][2] or trace[-1][3]:
            break
    return trace


def same(a, b):
    return repr(a) == repr(b)
