"""The decisions of a run in which an agent chooses tasks, for policies that learn from them."""

from pathlib import Path
from typing import Any

import numpy as np

from mtlgym import __version__
from mtlgym.agents import OffPolicyLog
from mtlgym.bench.runs.cell import DECISIONS, Cell
from mtlgym.bench.runs.results import in_cells

FLUSH_EVERY = 100  # decisions; a run that was killed goes on from a checkpoint, before them


class DecisionLog:
    """Logs each task that was chosen, how probable it was, and the improvement that it brought.

    Nothing is logged of an agent that has no `probabilities`. The improvement is that of Glover and
    Hokamp (2019), eq. 16, whatever the environment's reward is.
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
        """Log a decision that was made from this distribution, and what it brought."""
        if probabilities is None or info.get("failure"):
            return  # a step that broke down brought nothing
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
        """Each task's share of the last so many, and the policy at the end, for the result."""
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
