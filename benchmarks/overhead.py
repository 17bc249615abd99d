"""The overhead of an environment over the same training as a plain torch loop.

    python benchmarks/overhead.py [--env MTL-QM9-Mini-v0] [--steps 300]

Both trainings run in one process, in turns of 25 steps, on the same batches with equal weights of
the log losses; validation is off. Prints the medians of a step and their ratio. Turns of one step
would be unfair: an environment keeps the activations of the pending batch from one step to the
next, and the other loop would evict them from the processor's cache in between.
"""

import time
from dataclasses import dataclass
from statistics import median

import gymnasium as gym
import numpy as np
import torch
import tyro

from mtlgym.training.feed import Feed


@dataclass
class Args:
    """What is measured."""

    env: str = "MTL-QM9-Mini-v0"
    steps: int = 300
    threads: int = 1
    turn: int = 25


def plain(env: gym.Env, seed: int):
    """A training step without an environment, as a function."""
    training = env.unwrapped.configuration.training
    problem = env.unwrapped.problem
    model = problem.build()
    optimizer = torch.optim.Adam(model.parameters(), lr=training.lr)
    feed = Feed(problem.splits["train"], training, seed)

    def step() -> list[float]:
        losses = problem.losses(model, feed.next_share().batch)
        optimizer.zero_grad()
        losses.log().sum().backward()
        optimizer.step()
        return losses.tolist()  # what a loop logs

    return step


def main(args: Args) -> None:
    """Measure and print."""
    torch.set_num_threads(args.threads)
    env = gym.make(args.env, data="embedded", scheduler="constant", validate_every=0, epochs=10_000)
    env.reset(seed=0)
    loop = plain(env, seed=0)
    action = np.zeros(env.action_space.shape, np.float32)
    times: dict[str, list[float]] = {"plain loop": [], "gym.make": []}
    for _ in range(args.steps // args.turn):
        for name, function in (("plain loop", loop), ("gym.make", lambda: env.step(action))):
            for k in range(args.turn):
                started = time.perf_counter()
                function()
                if k:  # the first step of a turn finds a cold cache
                    times[name].append(time.perf_counter() - started)
    for name, values in times.items():
        print(f"{name:10} {1e3 * median(values):8.2f} ms a step")
    pairs = zip(times["gym.make"], times["plain loop"], strict=True)
    print(f"ratio of medians {median(times['gym.make']) / median(times['plain loop']):.3f}")
    print(f"median of ratios {median(a / b for a, b in pairs):.3f}")


if __name__ == "__main__":
    main(tyro.cli(Args))
