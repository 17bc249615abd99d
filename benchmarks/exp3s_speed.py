"""Time a round of Exp3.S against a step of CartPole: python benchmarks/exp3s_speed.py [ARMS].

All are measured in turns of 100 in one process. Prints medians in microseconds, and how many times
faster a round, `act` and `learn` together, is than a step of `gym.make("CartPole-v1")` and of the
environment within its wrappers. The reservoir of rewards fills in the first rounds, which cost the
most; of many bandits it is a bandit's part of a round.
"""

import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from mtlgym.agents import Exp3S

TURN, TURNS, ROWS = 100, 100, 1000
FULL = 20_000  # rounds after which a reward seldom enters the reservoir
OBSERVATIONS = spaces.Box(0, 1, (1,), np.float32)


def cart_pole(env: gym.Env) -> Callable[[], float]:
    """The seconds of a step; the reset after an episode is not counted."""
    env.reset(seed=0)
    state = {"action": 0}

    def step() -> float:
        action = state["action"] = 1 - state["action"]
        started = time.perf_counter()
        _, _, terminated, truncated, _ = env.step(action)
        seconds = time.perf_counter() - started
        if terminated or truncated:
            env.reset()
        return seconds

    return step


def exp3s(actions: spaces.Space, rewards: list[Any], before: int) -> Callable[[], float]:
    """The seconds of a round, when some have been played before; none: the first 1000, again."""
    observation, info = np.zeros(1, np.float32), {}  # type: ignore[var-annotated]
    state: dict[str, Any] = {}

    def step() -> float:
        if not before and state.get("rounds", 1000) == 1000:
            state.update(agent=Exp3S(OBSERVATIONS, actions, seed=0), rounds=0)
        agent, reward = state["agent"], rewards[state["rounds"] % len(rewards)]
        started = time.perf_counter()
        action = agent.act(observation, info)
        agent.learn(observation, action, reward, observation, False, False, info)
        seconds = time.perf_counter() - started
        state["rounds"] += 1
        return seconds

    state.update(agent=Exp3S(OBSERVATIONS, actions, seed=0), rounds=0)
    for _ in range(before):
        step()
    return step


def main(arms: int) -> None:
    """Measure and print."""
    rewards = np.random.default_rng(0).normal(size=(997, ROWS))
    one, many = spaces.Discrete(arms), spaces.MultiDiscrete([arms] * ROWS)
    steps = {
        "CartPole, gym.make": cart_pole(gym.make("CartPole-v1")),
        "CartPole, unwrapped": cart_pole(gym.make("CartPole-v1").unwrapped),
        "Exp3S, first rounds": exp3s(one, rewards[:, 0].tolist(), 0),
        "Exp3S, later": exp3s(one, rewards[:, 0].tolist(), FULL),
        "Exp3S, one of 1000": exp3s(many, list(rewards), FULL // 10),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(TURNS):
        for name, step in steps.items():
            turn = TURN // 10 if name.endswith(str(ROWS)) else TURN
            times[name] += [step() for _ in range(turn)]
    cost = {name: 1e6 * median(seconds) for name, seconds in times.items()}
    cost["Exp3S, one of 1000"] /= ROWS
    for name, microseconds in cost.items():
        wrapped, bare = (cost[f"CartPole, {kind}"] for kind in ("gym.make", "unwrapped"))
        print(
            f"{name:20} {microseconds:6.2f} us, {wrapped / microseconds:5.2f} times as fast as "
            f"gym.make's, {bare / microseconds:5.2f} times as the bare one"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
