"""The files that a run appends to."""

import csv
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.bench.runs.cell import LOG, Cell
from mtlgym.bench.runs.checkpoints import DamagedError
from mtlgym.bench.runs.decisions import DecisionLog
from mtlgym.io.atomic import write_atomically
from mtlgym.io.jsonl import Log


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


MONITOR = "monitor.csv"  # what `load_results` looks for


class Monitor:
    """Writes a row a period of the log, with which `load_results` and its plots read the run.

    Columns: `r`, the period's sum of rewards; `l`, its steps; `t`, seconds of training at its end.

    Differs from Stable-Baselines3's in that a row is a period, as an episode is a whole training.

    Attributes:
        rows: written so far.
    """

    def __init__(self, folder: Path, env: str, rows: int) -> None:
        """Start the file, or continue it behind its first so many rows if it has them."""
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


class Traces:
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
        """Start the files, or continue them from where a `state_dict` says they stood.

        Args:
            cell: what is run.
            folder: where its files are.
            agent: whose decisions are logged; None logs none.
            tasks: the tasks' names.
            state: what `state_dict` returned.

        Raises:
            DamagedError: if the log or the decisions are not as long, or not the same, as then.
        """
        try:
            self.log = Log(folder / LOG, **state["log"])
            self.decisions = DecisionLog(agent, tasks, folder, state["decisions"])
        except (ValueError, FileNotFoundError) as error:
            raise DamagedError(str(error)) from error
        self._monitor = Monitor(folder, cell.env, state["rows"])

    def write_row(self, row: dict[str, Any], means: Means, seconds: float) -> None:
        """Write a row on a period with these means, which ended after so many seconds."""
        self.log.write(row)
        self._monitor.write(means.reward, means.steps, seconds)

    def state_dict(self) -> dict[str, Any]:
        """Where the files stand."""
        return {
            "log": {"size": self.log.size, "sha256": self.log.sha256},
            "rows": self._monitor.rows,
            "decisions": self.decisions.size,
        }

    def close(self) -> None:
        """Close the files."""
        self.decisions.close()
