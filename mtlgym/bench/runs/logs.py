"""The files that a run appends to: its log, SB3's monitor, and the decisions of its agent."""

import csv
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym import __version__
from mtlgym.agents import OffPolicyLog
from mtlgym.bench.runs.cell import DECISIONS, LOG, Cell
from mtlgym.bench.runs.checkpoints import DamagedError
from mtlgym.bench.runs.results import in_cells
from mtlgym.io.atomic import write_atomically
from mtlgym.io.jsonl import Log

FLUSH_EVERY = 100  # decisions; those after the last checkpoint are made again after a kill


class DecisionLog:
    """Logs each task that was chosen, its probability, and the improvement that followed.

    Nothing is logged of an agent that has no `probabilities`. The improvement is that of Glover and
    Hokamp (2019), eq. 16, independently of the environment's reward.
    """

    def __init__(self, agent: Any, tasks: tuple[str, ...], folder: Path, size: int = 0) -> None:
        """Start a log in the folder, or continue it behind its first `size` records."""
        self._agent, self._tasks, self._path = agent, tasks, folder / DECISIONS
        self._log: OffPolicyLog | None = None
        if size:
            self._log = OffPolicyLog.open(self._path, size=size, flush_every=FLUSH_EVERY)
        else:
            self._path.unlink(missing_ok=True)  # of a run that ended before its first checkpoint

    @property
    def size(self) -> int:
        """Records in the file."""
        if self._log is None:
            return 0
        self._log.flush()
        return len(self._log)

    def probabilities(self) -> np.ndarray | None:
        """The distribution that the agent has just chosen from, None where there is none."""
        return getattr(self._agent, "probabilities", None)

    def write(self, action: Any, probabilities: np.ndarray | None, info: dict[str, Any]) -> None:
        """Log a decision drawn from this distribution, and its improvement."""
        if probabilities is None or info.get("failure"):
            return  # a step that failed has no improvement
        if self._log is None:
            self._log = OffPolicyLog.create(
                self._path,
                len(self._tasks),
                tasks=self._tasks,
                policy=type(self._agent).__name__,
                flush_every=FLUSH_EVERY,
            )
        self._log.write(int(action), float(probabilities[action]), info["improvement"])

    def summary(self, steps: int) -> dict[str, Any]:
        """Each task's share of the last `steps` decisions, and the final policy, for the result."""
        if self._log is None:
            return {}
        found = self._log.decisions()
        last = found.actions[-steps:]  # one less than that after a step that broke down
        shares = np.bincount(last, minlength=found.arms) / len(last)
        made = getattr(self._agent, "improvements", None)
        return {
            "chosen": shares.tolist(),
            "probabilities": self._agent.probabilities.tolist(),
            **({} if made is None else {"improvements": made}),
        }

    def close(self) -> None:
        """Close the file."""
        if self._log is not None:
            self._log.close()


def prepare(cell: Cell, folder: Path, agent: Any) -> None:
    """Fit the agent on the decisions that its cell learns from, if there are any.

    Raises:
        ValueError: for an agent that cannot be fitted, or decisions of another protocol.
        OSError: if that cell is not finished; names the file that is missing.
    """
    if not cell.log_of:
        return
    if not hasattr(agent, "fit"):
        raise ValueError(f"`log_of` needs an agent with `fit`, as counterfactual, not {cell.agent}")
    agent.fit(_source(cell, folder) / DECISIONS)


def _source(cell: Cell, folder: Path) -> Path:
    """The finished cell beside this one that it learns from."""
    here, refused = cell.describe()["options"], ""
    for run in in_cells(folder.parent):
        other = Cell.of(run.result)
        if (other.label, other.seed, run.version) != (cell.log_of, cell.seed, __version__):
            continue
        there = other.describe()["options"]
        differing = sorted(k for k in {*there, *here} - {"reward"} if there.get(k) != here.get(k))
        if not differing:
            return run.folder
        told = "; ".join(f"{k}: {there.get(k)!r} there, {here.get(k)!r} here" for k in differing)
        refused = f"{run.folder} holds decisions of another protocol ({told})"
    if refused:
        raise ValueError(refused)
    raise FileNotFoundError(
        f"{folder.parent} has no finished run of {cell.log_of!r} from seed {cell.seed}: "
        f"run {cell.log_of!r} first"
    )


@dataclass
class Means:
    """Sums over the steps of the period so far."""

    losses: NDArray[np.float64]
    weights: NDArray[np.float64]
    reward: float = 0.0
    steps: int = 0

    @classmethod
    def none(cls, tasks: int) -> "Means":
        """No step yet."""
        return cls(np.zeros(tasks), np.zeros(tasks))

    def add(self, losses: NDArray[np.float64], weights: NDArray[np.float64], reward: float) -> None:
        """Count a step: the losses that it trained on, its weights and its reward."""
        self.losses = self.losses + losses
        self.weights = self.weights + weights
        self.reward += reward
        self.steps += 1

    def row(self) -> dict[str, Any]:
        """The means, in plain values."""
        return {
            "losses": (self.losses / self.steps).tolist(),
            "weights": (self.weights / self.steps).tolist(),
            "reward": self.reward / self.steps,
        }


def finite(value: float) -> float | None:
    """The value, None if it is not finite: JSON has no word for that."""
    return value if math.isfinite(value) else None


MONITOR = "monitor.csv"  # the name that `load_results` expects


class Monitor:
    """Writes a row a period of the log, with which `load_results` and its plots read the run.

    Columns: `r`, the period's sum of rewards; `l`, its steps; `t`, seconds of training at its end.

    Differs from Stable-Baselines3's in that a row is a period, as an episode is a whole training.

    Attributes:
        rows: written so far.
    """

    def __init__(self, folder: Path, env: str, rows: int) -> None:
        """Start the file, or continue it after its first `rows` rows if it has as many."""
        self._path, self.rows = folder / MONITOR, rows
        known = rows and self._path.exists()
        lines = self._path.read_text(encoding="utf-8").splitlines() if known else []
        if len(lines) >= rows + 2:
            text = "\n".join(lines[: rows + 2]) + "\n"
        else:
            self.rows = 0
            head = json.dumps({"t_start": time.time(), "env_id": env})
            text = f"#{head}\nr,l,t\n"
        write_atomically(self._path, text.encode())

    def write(self, reward: float, steps: int, seconds: float) -> None:
        """Append a period."""
        with self._path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(
                [round(reward, 6), steps, round(seconds, 6)]
            )
        self.rows += 1


BEGINNING: dict[str, Any] = {"log": {}, "rows": 0, "decisions": 0}


class RunLogs:
    """A run's log, its monitor, and the decisions of an agent that chooses tasks.

    Attributes:
        log: a row a period.
        decisions: one a step.
    """

    def __init__(
        self,
        cell: Cell,
        folder: Path,
        agent: Any,
        tasks: tuple[str, ...],
        state: dict[str, Any] = BEGINNING,
    ) -> None:
        """Start the files, or continue them from the positions in a `state_dict`.

        Args:
            cell: the settings of the run.
            folder: of the run.
            agent: whose decisions are logged; None logs none.
            tasks: the tasks' names.
            state: returned by `state_dict`.

        Raises:
            DamagedError: if the log or the decisions are shorter than then, or were changed.
        """
        try:
            self.log = Log(folder / LOG, **state["log"])
            self.decisions = DecisionLog(agent, tasks, folder, state["decisions"])
        except (ValueError, FileNotFoundError) as error:
            raise DamagedError(str(error)) from error
        self._monitor = Monitor(folder, cell.env, state["rows"])

    def write_row(self, row: dict[str, Any], means: Means, seconds: float) -> None:
        """Write the row of a period with these means, which ended at this training time."""
        self.log.write(row)
        self._monitor.write(means.reward, means.steps, seconds)

    def state_dict(self) -> dict[str, Any]:
        """The positions in the files."""
        return {
            "log": {"size": self.log.size, "sha256": self.log.sha256},
            "rows": self._monitor.rows,
            "decisions": self.decisions.size,
        }

    def close(self) -> None:
        """Close the files."""
        self.decisions.close()
