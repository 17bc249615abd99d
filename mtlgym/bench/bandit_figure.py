"""Policies on many bandits at once: every oracle from every seed."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mtlgym import __version__, agents
from mtlgym.agents import Agent
from mtlgym.bench.runs.cell import SETTINGS
from mtlgym.bench.runs.options import for_agent
from mtlgym.io import checked_json
from mtlgym.io.atomic import write_atomically
from mtlgym.presets.published import FigurePreset, Row
from mtlgym.report.plots import style

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


HIGH, LOW = "oracle", "uniform"  # agents between which a gap is closed
TITLES = ("policy", "score", "lowest", "highest", "gap closed", "its range")

Courses = Sequence[Course]


def lines(courses: Courses) -> list[list[str]]:
    """A line a policy: medians over seeds, their median and range over oracles, and the gap closed.

    The gap that a policy closes on an oracle is (policy - uniform) / (oracle - uniform), of the
    medians over seeds of the final mean scores; "-" without these two policies.
    """
    medians = {c.row.agent: np.median(c.final, axis=1) for c in courses}
    found = []
    for course in courses:
        mine = np.median(course.final, axis=1)  # (oracles,)
        line = [course.row.label, *(f"{f(mine):.4f}" for f in (np.median, np.min, np.max))]
        if HIGH in medians and LOW in medians:
            gaps = medians[HIGH] - medians[LOW]
            closed = (mine - medians[LOW])[gaps != 0] / gaps[gaps != 0]
        else:
            closed = np.empty(0)
        if len(closed):
            line += [f"{np.median(closed):.2f}", f"{closed.min():.2f} to {closed.max():.2f}"]
        else:
            line += ["-", "-"]
        found.append(line)
    return found


def caption(figure: FigurePreset, courses: Courses) -> str:
    """What the figures are of."""
    oracles, seeds = courses[0].final.shape
    return (
        f"{figure.name}: {figure.title}. {figure.env}, {courses[0].steps[-1]} steps, {oracles} "
        f"oracles, {seeds} seeds. Final mean scores, medians over seeds: median and range over "
        "oracles"
    )


def markdown(figure: FigurePreset, courses: Courses) -> str:
    """The table as Markdown, with what it was made from."""
    table = [list(TITLES), ["---"] * len(TITLES), *lines(courses)]
    body = "\n".join(f"| {' | '.join(line)} |" for line in table)
    return f"{caption(figure, courses)}\n\n{body}\n"


def curves(courses: Courses) -> Figure:
    """The mean score over the steps, a panel an oracle: median of the seeds, all of them shaded.

    Source: Glover and Hokamp (2019), Figure 1.
    """
    picture, panels = style.grid(courses[0].final.shape[0])
    for oracle, axes in enumerate(panels):
        for index, course in enumerate(courses):
            style.band(axes, course.steps, course.scores[:, oracle], course.row.label, index)
        axes.set(title=f"oracle {oracle}", xlabel="step", ylabel="mean score")
    style.legend(picture, panels[0])
    return picture


def regret(courses: Courses) -> Figure:
    """How far a policy's gains, added up, are below the oracle's of the same bandit and seed.

    Below 0 where it is ahead; median and range as in `curves`.
    """
    best = next((c for c in courses if c.row.agent == HIGH), courses[0])
    picture, panels = style.grid(best.final.shape[0])
    for oracle, axes in enumerate(panels):
        for index, course in enumerate(courses):
            behind = best.gains[:, oracle] - course.gains[:, oracle]
            style.band(axes, course.steps, behind, course.row.label, index)
        axes.set(title=f"oracle {oracle}", xlabel="step", ylabel=f"regret against {best.row.label}")
    style.legend(picture, panels[0])
    return picture


def pulls(courses: Courses, oracles: np.ndarray) -> Figure:
    """Each arm's share of the pulls beside the oracle's, a panel an oracle; means over seeds."""
    picture, panels = style.grid(len(oracles))
    for oracle, axes in enumerate(panels):
        shares = {c.row.label: c.pulls[oracle].mean(axis=0) for c in courses}
        names = [str(arm) for arm in range(oracles.shape[1])]
        style.bars(axes, {"the distribution itself": oracles[oracle]}, shares, names)
        axes.set(title=f"oracle {oracle}", xlabel="arm", ylabel="share of pulls")
    style.legend(picture, panels[0])
    return picture


def results(figure: FigurePreset, courses: Courses, seeds: Sequence[int]) -> list[dict]:
    """A row a run."""
    return [
        {
            "env": figure.env,
            "label": course.row.label,
            "agent": course.row.agent,
            "oracle": oracle,
            "seed": seed,
            "steps": int(course.steps[-1]),
            "score": float(course.final[oracle, index]),
            "pulls": course.pulls[oracle, index].tolist(),
        }
        for course in courses
        for oracle in range(course.final.shape[0])
        for index, seed in enumerate(seeds)
    ]


def settings(
    figure: FigurePreset, options: Mapping[str, Any], seeds: Sequence[int]
) -> dict[str, Any]:
    """All that decides the results, in plain values."""
    return {
        "rows": [asdict(row) for row in figure.rows],
        "oracles": figure.oracles,
        "seeds": list(seeds),
        "options": dict(options),
        "version": __version__,
    }


def check_folder(wanted: Mapping[str, Any], folder: Path) -> None:
    """See that the figure's folder is free, or holds results of these settings.

    Raises:
        ValueError: if it holds others; says which.
    """
    path = folder / SETTINGS
    found = checked_json.read(path) if path.exists() else wanted
    differing = sorted(key for key in wanted if found.get(key) != wanted[key])
    if differing:
        what = f"{folder} holds another run (of other {', '.join(differing)})"
        raise ValueError(f"{what}; name another folder or delete it")


def write(
    figure: FigurePreset,
    courses: Courses,
    oracles: np.ndarray,
    known: Mapping[str, Any],
    folder: Path,
) -> None:
    """Write settings, results, tables and plots."""
    folder.mkdir(parents=True, exist_ok=True)
    checked_json.write(folder / SETTINGS, known)
    rows = "".join(json.dumps(row) + "\n" for row in results(figure, courses, known["seeds"]))
    write_atomically(folder / "results.jsonl", rows.encode())
    write_atomically(folder / "table.md", markdown(figure, courses).encode())
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([TITLES, *lines(courses)])
    write_atomically(folder / "table.csv", text.getvalue().encode())
    style.write(curves(courses), folder / "scores.png")
    style.write(regret(courses), folder / "regret.png")
    style.write(pulls(courses, oracles), folder / "pulls.png")
