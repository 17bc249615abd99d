"""The speed of routing a whole minibatch, and the cost of a step by the number of blocks.

    OMP_NUM_THREADS=1 python benchmarks/routing_speed.py [--rounds 5] [--seconds 2.0]

First the samples a second, trained on, of `RoutingVectorEnv`, of `RoutingEnv`, and of a loop with a
forward and a backward pass a sample; then the time of a training step by the number of blocks, and
how many block calls a sample makes. One process, one thread; all sides take turns in every round,
and figures are medians over rounds, as are ratios, of the times of a round. Times are the
processor's, which with one thread are those of a clock on a machine that does nothing else.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import tyro
from gymnasium.vector import AutoresetMode
from torch.nn import functional

from mtlgym import agents
from mtlgym.datasets.images.image_tasks import SPLITS, ImageData, ImageTasks
from mtlgym.datasets.sources import Source
from mtlgym.envs.routing import RoutingEnv, RoutingVectorEnv
from mtlgym.problems.images import ImageProblem

TASKS, CLASSES, SIDE, DEPTH = 10, 5, 32, 3
BLOCKS = (5, 10, 20, 40)
HEADS = ("routing-all-fc", "soft-mixture-fc", "cross-stitch-all-fc")
Train = Callable[[], int]  # trains on some samples, and gives their number


@dataclass
class Args:
    """What is measured."""

    rounds: int = 5
    seconds: float = 2.0  # at least, a round and side
    batch: int = 256


def problem(tasks: int) -> ImageProblem:
    """Noise of CIFAR's shape, with random labels."""
    rng = np.random.default_rng(0)
    count = 1024
    split = ImageTasks(
        rng.integers(0, 256, (count, SIDE, SIDE, 3), np.uint8),
        np.arange(count),
        np.arange(count) % tasks,
        rng.integers(0, CLASSES, count),
    )
    classes = (tuple(map(str, range(CLASSES))),) * tasks
    data = ImageData(tuple(map(str, range(tasks))), classes, dict.fromkeys(SPLITS, split))
    return ImageProblem("noise", data, Source("noise", "embedded", Path("noise"), "0"))


def vector(args: Args, agent: str, tasks: int = TASKS, **options: Any) -> tuple[Any, Train]:
    """The vector form, and one minibatch by the agent."""
    env = RoutingVectorEnv(
        problem(tasks), args.batch, autoreset_mode=AutoresetMode.SAME_STEP, **options
    )
    who: Any = agents.make(agent, env.observation_space, env.action_space, 0)
    seen: list[Any] = list(env.reset(seed=0))

    def train() -> int:
        for _ in range(DEPTH):
            action = who.act(*seen)
            after, reward, *ends, info = env.step(action)
            who.learn(seen[0], action, reward, after, *ends, info)
            seen[:] = after, info
        return args.batch

    return env, train


def single(args: Args) -> Train:
    """The single form, and as many samples by random actions."""
    env = RoutingEnv(problem(TASKS), batch_size=args.batch)
    rng = np.random.default_rng(0)
    env.reset(seed=0)

    def train() -> int:
        for route in rng.integers(0, TASKS, (args.batch, DEPTH)):
            for action in route:
                env.step(int(action))
            env.reset()
        return args.batch

    return train


def loop(args: Args) -> Train:
    """The same network without an environment, a sample at a time; an optimizer step a batch."""
    env, _ = vector(args, "uniform")
    model, data = env.router.trainer.model, env.problem
    optimizer = torch.optim.SGD(model.parameters(), 1e-2)
    rng = np.random.default_rng(0)

    def train() -> int:
        samples = data.samples("train", rng.permutation(data.size("train"))[: args.batch])
        routes = rng.integers(0, TASKS, (args.batch, DEPTH))
        optimizer.zero_grad()
        for row, route in enumerate(routes):
            value = model.trunk(samples.images[row : row + 1])
            for depth, action in enumerate(route):
                value = model.head.layers[depth][action](value)
            loss = functional.cross_entropy(value, samples.label[row : row + 1])
            (loss / args.batch).backward()
        optimizer.step()
        return args.batch

    return train


def layers(args: Args, together: bool) -> Train:
    """The routed layers alone, from given features: grouped by block, or sample by sample."""
    env, _ = vector(args, "uniform")
    head: Any = env.router.head
    parameters = list(head.parameters())
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.standard_normal((args.batch, env.router.shape.width), "f4"))
    task = torch.arange(args.batch) % TASKS
    label = torch.arange(args.batch) % CLASSES

    def train() -> int:
        for parameter in parameters:
            parameter.grad = None
        routes = torch.from_numpy(rng.integers(0, TASKS, (args.batch, DEPTH)))
        for rows in [slice(None)] if together else [slice(k, k + 1) for k in range(args.batch)]:
            value = features[rows]
            for depth in range(DEPTH):
                if together:
                    value = head.layer(depth, value, task, routes[:, depth])
                else:
                    value = head.layers[depth][int(routes[rows.start, depth])](value)
            (functional.cross_entropy(value, label[rows], reduction="sum") / args.batch).backward()
        return args.batch

    return train


def calls(env: Any, train: Train) -> float:
    """How many blocks a sample of one minibatch goes through."""
    rows = [0]

    def count(module: Any, inputs: Any, output: Any) -> None:
        rows[0] += len(inputs[0])

    blocks = [block for layer in env.router.head.layers for block in layer]
    hooks = [block.register_forward_hook(count) for block in blocks]
    samples = train()
    for hook in hooks:
        hook.remove()
    return rows[0] / samples


def times(sides: Mapping[Any, Train], args: Args) -> dict[Any, list[float]]:
    """The seconds a sample of each side, (rounds,); all sides take turns."""
    found: dict[Any, list[float]] = {name: [] for name in sides}
    for number in range(args.rounds + 1):  # the first one warms up
        order = list(sides) if number % 2 else list(sides)[::-1]
        for name in order:
            samples, start = 0, time.process_time()
            while time.process_time() - start < args.seconds:
                samples += sides[name]()
            found[name].append((time.process_time() - start) / samples)
    return {name: each[1:] for name, each in found.items()}


def ratio(ours: list[float], theirs: list[float]) -> float:
    """The median over rounds of how many times as long ours takes."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def forms(args: Args) -> None:
    """Print the samples a second of each form."""
    sides = {
        "RoutingVectorEnv, random actions": vector(args, "uniform")[1],
        "RoutingVectorEnv, WPL": vector(args, "wpl")[1],
        "RoutingEnv, random actions": single(args),
        "a loop, sample by sample": loop(args),
    }
    _table(f"batches of {args.batch}", times(sides, args))
    alone = {
        "grouped by block": layers(args, True),
        "a loop, sample by sample": layers(args, False),
    }
    _table("the routed layers alone", times(alone, args))


def _table(title: str, found: dict[str, list[float]]) -> None:
    """Print the samples a second of each side, and over the last one's."""
    base = list(found.values())[-1]
    print(f"{title:34}{'samples/s':>12}{'times the loop':>18}")
    for name, seconds in found.items():
        print(f"{name:34}{1 / median(seconds):12,.0f}{ratio(base, seconds):18.2f}")


def blocks(args: Args) -> None:
    """Print the time of a training step, and the block calls a sample, by the number of blocks."""
    sides, made = {}, {}
    for head in HEADS:
        for count in BLOCKS:
            # Cross-stitch networks have as many columns as tasks.
            more = {"tasks": count} if head == HEADS[2] else {"blocks": count}
            made[head, count], sides[head, count] = vector(
                args, "uniform", architecture=head, **more
            )
    called = {key: calls(made[key], sides[key]) for key in sides}
    found = times(sides, args)
    print(f"{'architecture':22}{'blocks':>8}{'ms a step':>12}{'times 5 blocks':>18}{'calls':>10}")
    for head, count in sides:
        seconds = found[head, count]
        relative = ratio(seconds, found[head, BLOCKS[0]])
        step = 1000 * median(seconds) * args.batch
        print(f"{head:22}{count:8}{step:12.1f}{relative:18.2f}{called[head, count]:10.1f}")


def main(args: Args) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    forms(args)
    blocks(args)


if __name__ == "__main__":
    main(tyro.cli(Args))
