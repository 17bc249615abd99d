"""Runs a cell; a run that was killed continues bit-identically from its last checkpoint."""

import time
import warnings
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mtlgym import checks
from mtlgym.bench.runs import checkpoints
from mtlgym.bench.runs.backends import signals
from mtlgym.bench.runs.cell import RESULT, Cell, open_folder, read_result, versions
from mtlgym.bench.runs.checkpoints import DamagedError
from mtlgym.bench.runs.execution import CHECKPOINT_EVERY
from mtlgym.bench.runs.factory import make
from mtlgym.bench.runs.logs import Means, RunLogs, prepare
from mtlgym.io import checked_json
from mtlgym.io.lock import held

SHOWN = ("epoch", "lr", "mean_score")  # beside the progress bar


@dataclass
class Run:
    """A cell in progress.

    An agent with an attribute `practice` learns over that many episodes first; the log and the
    result are of the episode after them, the decisions and `seconds` of all.

    Attributes:
        cell: the settings.
        folder: of the files.
        checkpoint_every: steps from one checkpoint to the next.
        seconds: time spent in steps and in the agent, over all continuations.
        practice: episodes left before the one that is logged.
    """

    cell: Cell
    folder: Path
    checkpoint_every: int = CHECKPOINT_EVERY
    seconds: float = 0.0
    practice: int = 0

    def __post_init__(self) -> None:
        """Make the environment and the agent; continue from the newest undamaged checkpoint."""
        checks.integer("checkpoint_every", self.checkpoint_every, least=1)
        self._env, self._agent, self._adapter = make(self.cell)
        self._logged = self._agent if self._adapter.selects else None  # its decisions are
        try:
            open_folder(self.cell, self.folder, self._adapter.source)
            if checkpoints.newest(self.folder, self._continue) is None:
                self._begin()
        except BaseException:
            self._env.close()
            raise

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks' or arms' names."""
        return self._adapter.tasks

    @property
    def step(self) -> int:
        """Steps of this episode so far."""
        return int(np.max(self._info["step"]))  # the same in all rows of a vector

    @property
    def budget(self) -> int:
        """Steps in the episode."""
        return self._adapter.budget()

    def finish(
        self, on_step: "OnStep" = lambda run: None, on_row: "OnRow" = lambda run, row: None
    ) -> dict[str, Any]:
        """Step to the end, measure once on the test split, write and return the result.

        Args:
            on_step: called after each step.
            on_row: called after each row of the log, with the row.

        Raises:
            InterruptedRunError: if a signal asked for it; a checkpoint has been written then.
            OSError: if a file cannot be written; the last checkpoint is whole.
        """
        with closing(self._env), closing(self._logs):
            self._play(on_step, on_row)
            self._save()
            result = self._result()
            checked_json.write(self.folder / RESULT, result)
            if getattr(self._agent, "practice", 0):
                text = f"{self.cell.name} did not make all its improvements: a task was never tried"
                warnings.warn(text, UserWarning, stacklevel=2)
        return result

    def describe(self) -> str:
        """The progress of the run, for the progress bar."""
        known = [f"{key} {np.mean(self._info[key]):.4g}" for key in SHOWN if key in self._info]
        return ", ".join([*known, *(["practice"] if self.practice else [])])

    def _begin(self) -> None:
        prepare(self.cell, self.folder, self._agent)
        self.practice = self._practised = getattr(self._agent, "practice", 0)
        self._observation, self._info = self._env.reset(seed=self._adapter.seed)
        self._means = Means.none(len(self._adapter.tasks))
        self._logs = RunLogs(self.cell, self.folder, self._logged, self.tasks)

    def _play(self, on_step: "OnStep", on_row: "OnRow") -> None:
        while self._env.is_open or self.practice:
            if not self._env.is_open:
                self.practice -= 1
                self._observation, self._info = self._env.reset()
            row = self._advance()
            on_step(self)
            if row is not None:
                on_row(self, row)
            stopping = signals.asked()
            due = self._env.is_open and self.step % self.checkpoint_every == 0
            if stopping or due:
                self._save()
            if stopping:
                raise signals.InterruptedRunError(stopping)

    def _advance(self) -> dict[str, Any] | None:
        before, old, started = self._observation, self._info, time.perf_counter()
        action = self._agent.act(before, old)
        self.seconds += time.perf_counter() - started
        probabilities = self._logs.decisions.probabilities()  # slow for some agents
        started = time.perf_counter()
        after, reward, terminated, truncated, info = self._env.step(action)
        self._agent.learn(before, action, reward, after, terminated, truncated, info)
        self.seconds += time.perf_counter() - started
        self._observation, self._info = after, info
        self._logs.decisions.write(action, probabilities, info)
        self._adapter.count(self._means, old, action, reward, info)
        if not self._env.is_open or self.step % self._adapter.period() == 0:
            return self._write_row(old.get("epoch"))
        return None

    def _write_row(self, epoch: int | None) -> dict[str, Any] | None:
        """Write and return the row of the period that has ended; None in practice."""
        means, self._means = self._means, Means.none(len(self._adapter.tasks))
        if self.practice:
            return None
        when = {"step": self.step} if epoch is None else {"epoch": epoch, "step": self.step}
        row = {**when, **self._adapter.row(means, self._info)}
        self._logs.write_row(row, means, self.seconds)
        return row

    def _result(self) -> dict[str, Any]:
        """The run's figures; this alone reads the test set."""
        return {
            **self.cell.to_dict(),
            "kind": self.cell.kind,
            "tasks": list(self._adapter.tasks),
            **self._adapter.result(self._info, self.cell.split),
            "steps": self.step,
            "practice": self._practised,
            "seconds": round(self.seconds, 3),
            **self._logs.decisions.summary(self.step),
            "log_sha256": self._logs.log.sha256,
            "versions": versions(),
        }

    def _save(self) -> None:
        state = {
            "cell": self.cell.describe(),
            "step": self.step,
            "env": self._env.state_dict(),
            "agent": self._agent.state_dict(),
            "subject": self._adapter.state_dict(),
            "means": asdict(self._means),
            "traces": self._logs.state_dict(),
            "practice": self.practice,
            "practised": self._practised,
            "seconds": self.seconds,
        }
        checkpoints.save(self.folder, state)

    def _continue(self, state: Any) -> "Run":
        """Continue from the state in a checkpoint.

        Raises:
            DamagedError: if it is not of this cell, or the logs are not as long or not the same.
            ValueError: if the environment or the agent refuses it.
        """
        if not isinstance(state, dict) or state.get("cell") != self.cell.describe():
            raise DamagedError("it is the checkpoint of another run")
        self._logs = RunLogs(self.cell, self.folder, self._logged, self.tasks, state["traces"])
        self._observation, self._info = self._env.load_state_dict(state["env"])
        self._agent.load_state_dict(state["agent"])
        self._adapter.load_state_dict(state["subject"])
        self._means = Means(**state["means"])
        self.practice, self._practised = state["practice"], state["practised"]
        self.seconds = state["seconds"]
        return self


OnStep = Callable[[Run], None]
OnRow = Callable[[Run, dict[str, Any]], None]


def run_cell(
    cell: Cell,
    folder: Path,
    on_step: OnStep = lambda run: None,
    checkpoint_every: int = CHECKPOINT_EVERY,
    on_row: OnRow = lambda run, row: None,
) -> dict[str, Any]:
    """The cell's result: read if it is finished, else run, from its checkpoint if there is one.

    A cell that another process runs is waited for.
    """
    found = read_result(cell, folder)
    if found:
        return found
    with held(folder, signals.obey):
        found = read_result(cell, folder)
        return found or Run(cell, folder, checkpoint_every).finish(on_step, on_row)
