"""Runs a cell, so that a run that was killed goes on as if it had not been."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from mtlgym import agents
from mtlgym.bench.cell import CHECKPOINT, LOG, RESULT, Cell, open_folder, read_result
from mtlgym.bench.jsonl import Log
from mtlgym.envs.training import TrainingEnv
from mtlgym.files import write_atomically
from mtlgym.metrics import delta_m
from mtlgym.training import checkpoint

PACKAGES = ("mtlgym", "gymnasium", "numpy", "stable-baselines3", "torch", "torch-geometric")


@dataclass
class EpochMeans:
    """Sums over the steps of the epoch so far, for its row in the log."""

    losses: NDArray[np.float64]
    weights: NDArray[np.float64]
    reward: float = 0.0
    steps: int = 0

    @classmethod
    def none(cls, tasks: int) -> "EpochMeans":
        """No step yet."""
        return cls(np.zeros(tasks), np.zeros(tasks))

    def add(self, losses: NDArray[np.float64], reward: float, info: dict[str, Any]) -> None:
        """Count a step: the losses that it trained on, its weights and its reward."""
        self.losses = self.losses + losses
        self.weights = self.weights + info["weights"]
        self.reward += reward
        self.steps += 1


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
    checkpoint_every: int = 500
    seconds: float = 0.0
    _tasks: tuple[str, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        """Make the environment and the agent; continue from the checkpoint if there is one."""
        options = agents.environment_options(self.cell.agent) | dict(self.cell.options)
        self._wrapped = gym.make(self.cell.env, **options)
        self._env: TrainingEnv = self._wrapped.unwrapped  # type: ignore[assignment]
        self._tasks = self._env.problem.tasks
        self._agent = agents.make(
            self.cell.agent, self._env.observation_space, self._env.action_space, self.cell.seed
        )
        open_folder(self.cell, self.folder)
        path = self.folder / CHECKPOINT
        if path.exists():
            self._continue(checkpoint.load(path))
        else:
            self._observation, self._info = self._env.reset(seed=self.cell.seed)
            self._means = EpochMeans.none(len(self._tasks))
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
        done = False
        while not done:
            done = self._advance()
            on_step(self)
            if not done and self.step % self.checkpoint_every == 0:
                self._save()
        result = self._result()
        write_atomically(self.folder / RESULT, json.dumps(result, indent=1).encode())
        self._save()
        self._wrapped.close()
        return result

    def describe(self) -> str:
        """Where the run stands, in a few words."""
        return f"epoch {self._info['epoch']}, lr {self._info['lr']:.2g}"

    def _advance(self) -> bool:
        before, epoch, started = self._observation, self._info["epoch"], time.perf_counter()
        losses = self._info["losses"]
        action = self._agent.act(before, self._info)
        after, reward, terminated, truncated, info = self._env.step(action)
        self._agent.learn(before, action, reward, after, terminated, truncated, info)
        self.seconds += time.perf_counter() - started
        self._observation, self._info = after, info
        self._means.add(losses, reward, info)
        done = terminated or truncated
        if done or info["epoch"] != epoch:
            self._write_epoch(epoch)
        return done

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
            "score": validation.score,
            "validation": validation.values,
            "failure": self._info["failure"],
        }
        self._log.write(row)

    def _result(self) -> dict[str, Any]:
        """The run's figures; this alone reads the test set."""
        problem, learner = self._env.problem, self._env.episode.learner
        values = self._env.evaluate("test", best=True)
        baseline = problem.baseline
        return {
            **asdict(self.cell),
            "data": problem.source.kind,
            "data_sha256": problem.source.sha256,
            "tasks": list(self._tasks),
            "test": values,
            "units": {metric.key: metric.unit for metric in problem.metrics},
            "best_validation_score": learner.validation.best_score,
            "delta_m": delta_m(values, baseline.values, problem.metrics) if baseline else None,
            "baseline": baseline.source if baseline else None,
            "steps": self.step,
            "failure": self._info["failure"],
            "seconds": round(self.seconds, 3),
            "versions": {package: version(package) for package in PACKAGES},
        }

    def _save(self) -> None:
        state = {
            "env": self._env.state_dict(),
            "agent": self._agent.state_dict(),
            "means": asdict(self._means),
            "log_size": self._log.size,
            "seconds": self.seconds,
        }
        checkpoint.save(self.folder / CHECKPOINT, state)

    def _continue(self, state: dict[str, Any]) -> None:
        self._observation, self._info = self._env.load_state_dict(state["env"])
        self._agent.load_state_dict(state["agent"])
        self._means = EpochMeans(**state["means"])
        self._log = Log(self.folder / LOG, state["log_size"])
        self.seconds = state["seconds"]


def run_cell(
    cell: Cell, folder: Path, on_step: Callable[[Run], None] = lambda run: None, **options: int
) -> dict[str, Any]:
    """The cell's result: read if it is finished, else run, from its checkpoint if there is one."""
    return read_result(cell, folder) or Run(cell, folder, **options).finish(on_step)
