"""Time that IGBv2 adds to a training: python benchmarks/sac_update.py [TASKS]."""

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from gymnasium import spaces

from mtlgym.agents import IGBv2


def milliseconds(call: Callable[[], object], repeats: int) -> float:
    """The median time of a call after one for warming up."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times[1:])


def main(tasks: int) -> None:
    """Print the times of a random decision, a decision of SAC, and a round of updates."""
    torch.set_num_threads(1)
    weights = spaces.Box(0, np.inf, (tasks,), np.float32)
    agent = IGBv2(weights, weights, seed=0)
    rng = np.random.default_rng(0)
    losses, after = rng.random((2, tasks), np.float32)
    kept = {"epoch": 3, "reward_ready": True}
    for _ in range(agent.buffer_size // 2):
        losses, after = after, rng.random(tasks, np.float32)
        action = agent.act(losses, kept)
        agent.learn(losses, action, float(rng.normal()), after, False, False, kept)
    done = agent.gradient_steps

    def fifty_decisions() -> None:
        for _ in range(agent.update_every):
            passed = {"epoch": 4, "reward_ready": False}
            agent.learn(losses, action, 0.0, after, False, False, passed)

    chance = milliseconds(lambda: agent.act(losses, {"epoch": 1}), 500)
    policy = milliseconds(lambda: agent.act(losses, {"epoch": 6}), 500)
    rounds = milliseconds(fifty_decisions, 9)
    steps = (agent.gradient_steps - done) // 10
    print(f"random decision {chance:.3f} ms, SAC's {policy:.3f} ms")
    print(
        f"{steps} gradient steps every 50 decisions: {rounds:.0f} ms, {rounds / 50:.1f} a decision"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
