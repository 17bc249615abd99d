"""Runs a cell, so that a run that was killed goes on as if it had not been."""

import json
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mtlgym import checks
from mtlgym.bench.cell import CHECKPOINT, LOG, RESULT, Cell, open_folder, read_result
from mtlgym.bench.decisions import DecisionLog, prepare
from mtlgym.bench.jsonl import Log
from mtlgym.bench.making import make
from mtlgym.bench.means import Means
from mtlgym.bench.subjects import subject
from mtlgym.bench.versions import versions
from mtlgym.files import write_atomically
from mtlgym.training import checkpoint

CHECKPOINT_EVERY = 500  # steps
SHOWN = ("epoch", "lr", "mean_score")  # beside the progress bar


@dataclass
class Run:
    """A cell in progress.

    An agent that learns over several episodes, as its attribute `practice` says, has these first;
    the log and the result are of the one after them, but the decisions and `seconds` of all.

    Attributes:
        cell: what is run.
        folder: where its files are.
        checkpoint_every: steps from one checkpoint to the next.
        seconds: time spent in steps and in the agent, over all sittings.
        practice: episodes still to come before the one that counts.
    """

    cell: Cell
    folder: Path
    checkpoint_every: int = CHECKPOINT_EVERY
    seconds: float = 0.0
    practice: int = 0

    def __post_init__(self) -> None:
        """Make the environment and the agent; continue from the checkpoint if there is one."""
        checks.integer("checkpoint_every", self.checkpoint_every, least=1)
        self._env, self._agent = make(self.cell)
        self._subject = subject(self._env, self._agent)
        self._logged = self._agent if self._subject.selects else None  # its decisions are
        path = self.folder / CHECKPOINT
        if path.exists():
            self._continue(path)
            return
        prepare(self.cell, self.folder, self._agent)
        self.practice = self._practised = getattr(self._agent, "practice", 0)
        self._observation, self._info = self._env.reset(seed=self.cell.seed)
        self._means = Means.none(len(self._subject.tasks))
        open_folder(self.cell, self.folder)
        self._log = Log(self.folder / LOG)
        self._decisions = DecisionLog(self._logged, self._subject.tasks, self.folder)

    @property
    def step(self) -> int:
        """Steps made in this episode."""
        return self._info["step"]

    @property
    def budget(self) -> int:
        """Steps in the episode."""
        return self._subject.budget()

    def finish(self, on_step: Callable[["Run"], None] = lambda run: None) -> dict[str, Any]:
        """Step to the end, then measure on the test set, once; give and write the result."""
        try:
            self._play(on_step)
            result = self._result()
            write_atomically(self.folder / RESULT, json.dumps(result, indent=1).encode())
            self._save()
            if getattr(self._agent, "practice", 0):
                text = f"{self.cell.name} did not make all its improvements: a task was never tried"
                warnings.warn(text, UserWarning, stacklevel=2)
        finally:
            self._decisions.close()
            self._env.close()
        return result

    def describe(self) -> str:
        """Where the run stands, in a few words."""
        known = [f"{key} {self._info[key]:.4g}" for key in SHOWN if key in self._info]
        return ", ".join([*known, *(["practice"] if self.practice else [])])

    def _play(self, on_step: Callable[["Run"], None]) -> None:
        while self._env.is_open or self.practice:
            if not self._env.is_open:
                self.practice -= 1
                self._observation, self._info = self._env.reset()
            self._advance()
            on_step(self)
            if self._env.is_open and self.step % self.checkpoint_every == 0:
                self._save()

    def _advance(self) -> None:
        before, old, started = self._observation, self._info, time.perf_counter()
        action = self._agent.act(before, old)
        self.seconds += time.perf_counter() - started
        probabilities = self._decisions.probabilities()  # some agents take long to say
        started = time.perf_counter()
        after, reward, terminated, truncated, info = self._env.step(action)
        self._agent.learn(before, action, reward, after, terminated, truncated, info)
        self.seconds += time.perf_counter() - started
        self._observation, self._info = after, info
        self._decisions.write(action, probabilities, info)
        self._subject.count(self._means, old, action, reward, info)
        if not self._env.is_open or self.step % self._subject.period() == 0:
            self._write_row(old.get("epoch"))

    def _write_row(self, epoch: int | None) -> None:
        means, self._means = self._means, Means.none(len(self._subject.tasks))
        when = {"step": self.step} if epoch is None else {"epoch": epoch, "step": self.step}
        if not self.practice:
            self._log.write({**when, **self._subject.row(means, self._info)})

    def _result(self) -> dict[str, Any]:
        """The run's figures; this alone reads the test set."""
        return {
            **self.cell.to_dict(),
            "tasks": list(self._subject.tasks),
            **self._subject.result(self._info),
            "steps": self.step,
            "practice": self._practised,
            "seconds": round(self.seconds, 3),
            **self._decisions.summary(self.step),
            "versions": versions(),
        }

    def _save(self) -> None:
        state = {
            "cell": self.cell.describe(),
            "env": self._env.state_dict(),
            "agent": self._agent.state_dict(),
            "subject": self._subject.state_dict(),
            "means": asdict(self._means),
            "log_size": self._log.size,
            "decisions": self._decisions.size,
            "practice": self.practice,
            "practised": self._practised,
            "seconds": self.seconds,
        }
        checkpoint.save(self.folder / CHECKPOINT, state)

    def _continue(self, path: Path) -> None:
        state = checkpoint.load(path)
        if not isinstance(state, dict) or state.get("cell") != self.cell.describe():
            raise ValueError(f"{path} is the checkpoint of another run; delete it")
        self._observation, self._info = self._env.load_state_dict(state["env"])
        self._agent.load_state_dict(state["agent"])
        self._subject.load_state_dict(state["subject"])
        self._means = Means(**state["means"])
        self._log = Log(self.folder / LOG, state["log_size"])
        tasks = self._subject.tasks
        self._decisions = DecisionLog(self._logged, tasks, self.folder, state["decisions"])
        self.practice, self._practised = state["practice"], state["practised"]
        self.seconds = state["seconds"]


def run_cell(
    cell: Cell,
    folder: Path,
    on_step: Callable[[Run], None] = lambda run: None,
    checkpoint_every: int = CHECKPOINT_EVERY,
) -> dict[str, Any]:
    """The cell's result: read if it is finished, else run, from its checkpoint if there is one."""
    return read_result(cell, folder) or Run(cell, folder, checkpoint_every).finish(on_step)
