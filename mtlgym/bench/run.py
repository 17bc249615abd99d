"""Runs a cell, so that a run that was killed goes on as if it had not been."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym

from mtlgym import agents, checks
from mtlgym.bench.cell import CHECKPOINT, LOG, RESULT, Cell, open_folder, read_result
from mtlgym.bench.epoch import EpochMeans
from mtlgym.bench.jsonl import Log
from mtlgym.envs.training import TrainingEnv
from mtlgym.files import write_atomically
from mtlgym.metrics import delta_m
from mtlgym.presets import preset
from mtlgym.training import checkpoint

CHECKPOINT_EVERY = 500  # steps
PACKAGES = ("mtlgym", "gymnasium", "numpy", "stable-baselines3", "torch", "torch-geometric")


@dataclass
class Run:
    """A cell in progress.

    Attributes:
        cell: what is run.
        folder: where its files are.
        checkpoint_every: steps from one checkpoint to the next.
        seconds: time spent in steps and in the agent, over all sittings.
    """

    cell: Cell
    folder: Path
    checkpoint_every: int = CHECKPOINT_EVERY
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Make the environment and the agent; continue from the checkpoint if there is one."""
        checks.integer("checkpoint_every", self.checkpoint_every, least=1)
        self._env, self._agent = make(self.cell)
        self._tasks = self._env.problem.tasks
        path = self.folder / CHECKPOINT
        if path.exists():
            self._continue(path)
        else:
            self._observation, self._info = self._env.reset(seed=self.cell.seed)
            self._means = EpochMeans.none(len(self._tasks))
            open_folder(self.cell, self.folder)
            self._log = Log(self.folder / LOG)

    @property
    def step(self) -> int:
        """Optimizer steps made."""
        return self._info["step"]

    @property
    def budget(self) -> int:
        """Optimizer steps in the whole run."""
        return self._env.episode.budget

    def finish(self, on_step: Callable[["Run"], None] = lambda run: None) -> dict[str, Any]:
        """Step to the end, then measure on the test set, once; give and write the result."""
        while self._env.is_open:
            self._advance()
            on_step(self)
            if self._env.is_open and self.step % self.checkpoint_every == 0:
                self._save()
        result = self._result()
        write_atomically(self.folder / RESULT, json.dumps(result, indent=1).encode())
        self._save()
        self._env.close()
        return result

    def describe(self) -> str:
        """Where the run stands, in a few words."""
        return f"epoch {self._info['epoch']}, lr {self._info['lr']:.2g}"

    def _advance(self) -> None:
        before, epoch, started = self._observation, self._info["epoch"], time.perf_counter()
        losses = self._info["losses"]
        action = self._agent.act(before, self._info)
        after, reward, terminated, truncated, info = self._env.step(action)
        self._agent.learn(before, action, reward, after, terminated, truncated, info)
        self.seconds += time.perf_counter() - started
        self._observation, self._info = after, info
        self._means.add(losses, reward, info)
        if not self._env.is_open or info["epoch"] != epoch:
            self._write_epoch(epoch)

    def _write_epoch(self, epoch: int) -> None:
        validation = self._env.episode.learner.validation
        means, self._means = self._means, EpochMeans.none(len(self._tasks))
        row = {
            "epoch": epoch,
            "step": self.step,
            "lr": self._info["lr"],
            "losses": (means.losses / means.steps).tolist(),
            "weights": (means.weights / means.steps).tolist(),
            "reward": means.reward / means.steps,
            "score": finite(validation.score),
            "validation": {key: finite(x) for key, x in validation.values.items()},
            "failure": self._info["failure"],
        }
        self._log.write(row)

    def _result(self) -> dict[str, Any]:
        """The run's figures; this alone reads the test set."""
        problem, learner = self._env.problem, self._env.episode.learner
        values = self._env.evaluate("test", best=True)
        baseline = problem.baseline
        drop = delta_m(values, baseline.values, problem.metrics) if baseline else math.nan
        return {
            **self.cell.to_dict(),
            "data": problem.source.kind,
            "data_sha256": problem.source.sha256,
            "tasks": list(self._tasks),
            "test": {key: finite(value) for key, value in values.items()},
            "units": {metric.key: metric.unit for metric in problem.metrics},
            "best_validation_score": finite(learner.validation.best_score),
            "delta_m": finite(drop),
            "baseline": baseline.source if baseline else None,
            "steps": self.step,
            "failure": self._info["failure"],
            "seconds": round(self.seconds, 3),
            "versions": {package: version(package) for package in PACKAGES},
        }

    def _save(self) -> None:
        state = {
            "cell": self.cell.describe(),
            "env": self._env.state_dict(),
            "agent": self._agent.state_dict(),
            "means": asdict(self._means),
            "log_size": self._log.size,
            "seconds": self.seconds,
        }
        checkpoint.save(self.folder / CHECKPOINT, state)

    def _continue(self, path: Path) -> None:
        state = checkpoint.load(path)
        if not isinstance(state, dict) or state.get("cell") != self.cell.describe():
            raise ValueError(f"{path} is the checkpoint of another run; delete it")
        self._observation, self._info = self._env.load_state_dict(state["env"])
        self._agent.load_state_dict(state["agent"])
        self._means = EpochMeans(**state["means"])
        self._log = Log(self.folder / LOG, state["log_size"])
        self.seconds = state["seconds"]


def run_cell(
    cell: Cell,
    folder: Path,
    on_step: Callable[[Run], None] = lambda run: None,
    checkpoint_every: int = CHECKPOINT_EVERY,
) -> dict[str, Any]:
    """The cell's result: read if it is finished, else run, from its checkpoint if there is one."""
    return read_result(cell, folder) or Run(cell, folder, checkpoint_every).finish(on_step)


def make(cell: Cell) -> tuple[TrainingEnv, agents.Agent]:
    """The cell's environment and agent.

    Raises:
        ValueError: for an unknown id, agent or option, or options that the agent contradicts.
    """
    preset(cell.env)
    needed = agents.environment_options(cell.agent)
    for name, value in needed.items():
        if cell.options.get(name, value) != value:
            raise ValueError(
                f"`{name}` must be {value!r} for agent {cell.agent!r}, not {cell.options[name]!r}"
            )
    env: TrainingEnv = gym.make(cell.env, **(needed | dict(cell.options))).unwrapped  # type: ignore
    agent = agents.make(cell.agent, env.observation_space, env.action_space, cell.seed)
    return env, agent


def finite(value: float) -> float | None:
    """The value, None if it is not finite: JSON has no word for that."""
    return value if math.isfinite(value) else None
