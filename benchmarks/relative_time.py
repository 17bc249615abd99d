"""T: the training time of agents over that of equal weights.

    python benchmarks/relative_time.py --agents igbv2 igbv1 uw [--env MTL-QM9-Mini-v0]
    python benchmarks/relative_time.py --agents igbv2 --env MTL-QM9-v0 --steps 150 --full-buffer

All trainings run in one process, in alternating steps; a step includes acting and learning.
By default whole episodes. With `--steps`, that many steps; with `--full-buffer` too, IGBv2 acts and
trains from the first step with a full replay buffer, which is its maximal cost.
"""

import time
from dataclasses import dataclass, field
from statistics import median

import gymnasium as gym
import numpy as np
import torch
import tyro

from mtlgym import agents


@dataclass
class Args:
    """What is measured."""

    agents: tuple[str, ...] = ("igbv2",)
    env: str = "MTL-QM9-Mini-v0"
    steps: int = 0
    full_buffer: bool = False
    threads: int = 1


@dataclass
class Trainee:
    """One training and the time it took."""

    spec: str
    env_id: str
    full_buffer: bool
    times: list[float] = field(default_factory=list)
    finished: bool = False

    def __post_init__(self) -> None:
        """Make environment and agent."""
        options = agents.environment_options(self.spec)
        self.env = gym.make(self.env_id, data="embedded", **options)
        spaces = self.env.observation_space, self.env.action_space
        head, plus, gradient = self.spec.partition("+")
        full = self.full_buffer and head == "igbv2"
        spec = f"igbv2:update_epoch=1,use_epoch=1{plus}{gradient}" if full else self.spec
        self.agent = agents.make(spec, *spaces, seed=0)
        if full:
            self.fill()
        self.observation, self.info = self.env.reset(seed=0)
        data = self.env.unwrapped.problem.splits["train"]
        for source, size in enumerate(data.sizes):  # data that are made when they are first read
            data.batch(source, np.arange(size), 0)

    def fill(self) -> None:
        """Fill the buffer with random transitions, all of the first epochs, without training."""
        rng = np.random.default_rng(0)
        info = {"epoch": 0, "reward_ready": True}
        tasks = self.env.action_space.shape[0]
        for _ in range(self.agent.buffer_size):
            losses = rng.random((2, tasks), np.float32)
            weights = tasks * rng.dirichlet(np.ones(tasks)).astype(np.float32)
            self.agent.learn(losses[0], weights, 0.0, losses[1], False, False, info)

    def step(self) -> None:
        """Decide, train, learn; and count the time."""
        started = time.perf_counter()
        action = self.agent.act(self.observation, self.info)
        after, reward, terminated, truncated, info = self.env.step(action)
        self.agent.learn(self.observation, action, reward, after, terminated, truncated, info)
        self.times.append(time.perf_counter() - started)
        self.observation, self.info = after, info
        self.finished = terminated or truncated


def main(args: Args) -> None:
    """Measure and print."""
    torch.set_num_threads(args.threads)
    trainees = [Trainee(spec, args.env, args.full_buffer) for spec in ("equal", *args.agents)]
    while not trainees[0].finished and not 0 < args.steps <= len(trainees[0].times):
        for trainee in trainees:
            trainee.step()
    reference = trainees[0].times
    for trainee in trainees:
        total = sum(trainee.times) / sum(reference)
        # Rounds of 50 steps hold one update of IGBv2 each; their median is robust to hiccups.
        rounds = [
            sum(trainee.times[k : k + 50]) / sum(reference[k : k + 50])
            for k in range(0, len(reference), 50)
        ]
        print(
            f"{trainee.spec:12} T {total:.3f}, median over rounds of 50 steps "
            f"{median(rounds):.3f}, {1e3 * median(trainee.times):.1f} ms a step, "
            f"{len(trainee.times)} steps"
        )


if __name__ == "__main__":
    main(tyro.cli(Args))
