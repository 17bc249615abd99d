"""Policies on many bandits at once: every oracle from every seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from mtlgym import agents
from mtlgym.agents import Agent
from mtlgym.bench.figures import FigurePreset
from mtlgym.bench.options import for_agent
from mtlgym.bench.tables import Row

FIRST = 1000  # seed of the first oracle; no agent's settings were chosen on these
POINTS = 200  # at which the scores of an episode are kept


@dataclass(frozen=True, eq=False)
class Course:
    """How a policy fared in its last episode.

    Attributes:
        row: the policy.
        steps: pulls made at each point, (points,).
        scores: the mean score over arms, (points, oracles, seeds).
        gains: the pulled arms' gains added up, (points, oracles, seeds).
        pulls: each arm's share of the pulls, (oracles, seeds, arms).
    """

    row: Row
    steps: NDArray[np.int64]
    scores: NDArray[np.float64]
    gains: NDArray[np.float64]
    pulls: NDArray[np.float64]

    @property
    def final(self) -> NDArray[np.float64]:
        """The mean scores at the end, (oracles, seeds)."""
        return self.scores[-1]


def draw_oracles(figure: FigurePreset, options: dict[str, Any]) -> NDArray[np.float64]:
    """The oracles, (oracles, arms): oracle k, from 0, is drawn from seed 1000 + k."""
    env: Any = gym.make(figure.env, **options).unwrapped
    found = []
    for seed in range(FIRST, FIRST + figure.oracles):
        env.reset(seed=seed)
        found.append(np.array(env.oracle))
    return np.array(found)


def run(
    figure: FigurePreset,
    row: Row,
    oracles: NDArray[np.float64],
    seeds: Sequence[int],
    options: dict[str, Any],
) -> Course:
    """The policy on every oracle from every seed.

    A policy that learns over several episodes has these first, on the same bandits.

    Raises:
        ValueError: for an option that the environment has not.
    """
    rows = len(oracles) * len(seeds)
    env: Any = gym.make_vec(
        figure.env,
        num_envs=rows,
        autoreset_mode=AutoresetMode.DISABLED,
        oracle=np.repeat(oracles, len(seeds), axis=0),
        **for_agent(row.agent, options),
    )
    agent = agents.make(row.agent, env.observation_space, env.action_space, seeds[0])
    observation, info = env.reset(seed=list(seeds) * len(oracles))
    for _ in range(getattr(agent, "practice", 0)):
        _episode(env, agent, observation, info)
        observation, info = env.reset()
    steps, scores, gains, pulls = _episode(env, agent, observation, info)
    shape = (-1, len(oracles), len(seeds))
    shares = pulls.reshape(*shape[1:], -1) / steps[-1]
    env.close()
    return Course(row, steps, scores.reshape(shape), gains.reshape(shape), shares)


def _episode(
    env: Any, agent: Agent, observation: Any, info: dict[str, Any]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Points, scores and gains at them, and pulls, of an episode to its end."""
    rows = np.arange(env.num_envs)
    steps, scores, gains = [0], [info["mean_score"]], [np.zeros(env.num_envs)]
    pulls = np.zeros((env.num_envs, env.single_action_space.n))
    step, gained, done = 0, np.zeros(env.num_envs), False
    every = max(1, env.unwrapped.budget // POINTS)
    while not done:
        action = agent.act(observation, info)
        after, reward, terminated, truncated, info = env.step(action)
        agent.learn(observation, action, reward, after, terminated, truncated, info)
        observation, step, done = after, step + 1, bool(truncated.all())
        pulls[rows, action] += 1
        gained = gained + info["prediction_gain"]
        if done or step % every == 0:
            steps.append(step)
            scores.append(info["mean_score"])
            gains.append(gained)
    return np.array(steps), np.array(scores), np.array(gains), pulls
