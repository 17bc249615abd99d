"""A run's rewards in the format of Stable-Baselines3's `Monitor`."""

import csv
import json
import time
from pathlib import Path

from mtlgym.files import write_atomically

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
