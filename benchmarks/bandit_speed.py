"""Compare the step rates of the bandit's two forms with Gymnasium's CartPole, resets included.

    OMP_NUM_THREADS=1 python benchmarks/bandit_speed.py [--rounds 9] [--seconds 0.5]

Each pair runs in one process, in alternating rounds. The rates, in steps of one environment per
second, and their ratios in a round are medians over rounds. Both have the same wrappers.
Episodes of the bandit have 10,000 steps; CartPole's, under random actions, about 22.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import gymnasium as gym
import tyro
from gymnasium.vector import SyncVectorEnv

import mtlgym  # noqa: F401  # registers the id

BANDIT, CARTPOLE = "MTL-Bandit-v0", "CartPole-v1"
Rate = Callable[[float], float]


@dataclass
class Args:
    """What is measured."""

    rounds: int = 9
    seconds: float = 0.5  # a round and side
    num_envs: tuple[int, ...] = (64, 1024)


def single(env: gym.Env, count: int = 2000) -> Rate:
    """Measures the steps a second of random actions; `reset` at the end of an episode."""
    env.action_space.seed(0)
    env.reset(seed=0)
    actions = [int(env.action_space.sample()) for _ in range(count)]

    def rate(seconds: float) -> float:
        steps, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            for action in actions:
                _, _, terminated, truncated, _ = env.step(action)
                if terminated or truncated:
                    env.reset()
            steps += count
        return steps / (time.perf_counter() - start)

    return rate


def vector(envs: gym.vector.VectorEnv, count: int = 20) -> Rate:
    """Measures the steps a second, over all rows, of random actions."""
    envs.action_space.seed(0)
    envs.reset(seed=0)
    actions = [envs.action_space.sample() for _ in range(count)]

    def rate(seconds: float) -> float:
        steps, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            for action in actions:
                envs.step(action)
            steps += count * envs.num_envs
        return steps / (time.perf_counter() - start)

    return rate


def compare(title: str, ours: Rate, theirs: Rate, args: Args) -> str:
    """One row of the table."""
    rounds = []
    for number in range(args.rounds + 1):  # the first one warms up
        first, second = (ours, theirs) if number % 2 else (theirs, ours)
        rates = first(args.seconds), second(args.seconds)
        rounds.append(rates if number % 2 else rates[::-1])
    one, other = (median(side) for side in zip(*rounds[1:], strict=True))
    ratio = median(a / b for a, b in rounds[1:])
    return f"{title:42}{one:12,.0f}{other:12,.0f}{ratio:8.2f}"


def make_vec(id: str, num_envs: int, **options: Any) -> gym.vector.VectorEnv:
    """The vector form of an id."""
    return gym.make_vec(id, num_envs, vectorization_mode="vector_entry_point", **options)


def main(args: Args) -> None:
    """Measure and print."""
    print(f"{'steps a second':42}{'bandit':>12}{'other':>12}{'ratio':>8}")
    ours, theirs = gym.make(BANDIT), gym.make(CARTPOLE)
    print(compare("gym.make, CartPole", single(ours), single(theirs), args))
    ours, theirs = ours.unwrapped, theirs.unwrapped
    print(compare("unwrapped, CartPole", single(ours), single(theirs), args))
    for count in args.num_envs:
        rows = vector(make_vec(BANDIT, count))
        poles = vector(make_vec(CARTPOLE, count))
        print(compare(f"{count} rows, CartPole", rows, poles, args))
        loop = vector(SyncVectorEnv([lambda: gym.make(BANDIT)] * count))
        print(compare(f"{count} rows, SyncVectorEnv of the bandit", rows, loop, args))


if __name__ == "__main__":
    main(tyro.cli(Args))
