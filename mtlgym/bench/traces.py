"""The files that a run appends to."""

from pathlib import Path
from typing import Any

from mtlgym.bench.cell import LOG, Cell
from mtlgym.bench.checkpoints import DamagedError
from mtlgym.bench.decisions import DecisionLog
from mtlgym.bench.jsonl import Log
from mtlgym.bench.means import Means
from mtlgym.bench.monitor import Monitor

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
