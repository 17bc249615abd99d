"""Time the counterfactual policy's parts: python benchmarks/counterfactual_fit.py [ARMS].

Prints medians: of the fits of two rounds of 10,000 decisions each, with the decisions' arrays read
into sums before each fit; of writing, reading and evaluating a log of a million decisions; and of
a decision of the agent, alone and in a vector of 1000 environments.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from gymnasium import spaces

from mtlgym.agents import Counterfactual, OffPolicyLog
from mtlgym.agents.off_policy.estimators import evaluate
from mtlgym.agents.off_policy.log import Decisions, read
from mtlgym.agents.off_policy.logged_sums import LoggedSums
from mtlgym.agents.off_policy.policy_search import improve

MANY, ROUND, ROWS = 1_000_000, 10_000, 1000
NOTHING = spaces.Discrete(1)


def seconds(call: Callable[[], object], repeats: int) -> float:
    """The median time of a call after one for warming up."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return median(times[1:])


def decisions(policy: np.ndarray, size: int) -> Decisions:
    """What a policy did, and the rewards, in [0, 1]."""
    rng, arms = np.random.default_rng(0), len(policy)
    actions = rng.choice(arms, size=size, p=policy)
    rewards = rng.random(size) * (actions + 1) / arms
    return Decisions(actions, policy[actions], rewards, np.arange(size), arms, (), "memory")


def two_rounds(arms: int) -> Callable[[], object]:
    """The fits of both rounds: population 64, 20 iterations each."""
    first = decisions(np.full(arms, 1 / arms), ROUND)
    middle = improve(LoggedSums.of(first), rng=np.random.default_rng(0))
    second = decisions(middle, ROUND)

    def call() -> None:
        rng = np.random.default_rng(0)
        start = improve(LoggedSums.of(first), rng=rng)
        improve(LoggedSums.of([first, second]), rng=rng, start=start)

    return call


def write(path: Path, log: Decisions, flush_every: int) -> float:
    """Seconds to write the log."""
    path.unlink(missing_ok=True)
    rows = list(zip(log.actions.tolist(), log.propensities, log.rewards.tolist(), strict=True))
    start = time.perf_counter()
    with OffPolicyLog.create(path, log.arms, flush_every=flush_every) as file:
        for row in rows:
            file.write(*row)
    return time.perf_counter() - start


def rounds(space: spaces.Space, action: object, reward: object) -> Callable[[], object]:
    """100 decisions of an agent, each with what it learns from it."""
    agent = Counterfactual(NOTHING, space, seed=0)

    def call() -> None:
        for _ in range(100):
            agent.act(None, {})
            agent.learn(None, action, reward, None, False, False, {})

    return call


def main(arms: int) -> None:
    """Measure and print."""
    print(f"fits of two rounds of {ROUND} decisions: {1e3 * seconds(two_rounds(arms), 15):.1f} ms")
    log, policy = decisions(np.full(arms, 1 / arms), MANY), np.full(arms, 1 / arms)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.log"
        for every in (1000, 1):
            each = write(path, log, every) / MANY
            print(f"write a decision, {every} at a time: {1e6 * each:.2f} us")
        print(f"read {MANY} decisions: {seconds(lambda: read(path), 5):.3f} s")
    print(f"their sums: {1e3 * seconds(lambda: LoggedSums.of(log), 5):.1f} ms")
    sums = LoggedSums.of(log)
    print(
        f"evaluate a policy by them: {1e6 * seconds(lambda: evaluate(sums, policy), 1000):.1f} us"
    )
    one = seconds(rounds(spaces.Discrete(arms), 0, 0.5), 50) / 100
    space = spaces.MultiDiscrete([arms] * ROWS)
    many = seconds(rounds(space, np.zeros(ROWS, np.int64), np.full(ROWS, 0.5)), 5) / 100
    print(f"act and learn: {1e6 * one:.1f} us; of {ROWS} at once {1e6 * many / ROWS:.2f} us each")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
