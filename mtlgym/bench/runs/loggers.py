"""Loggers of other tools: TensorBoard and Weights & Biases, written during a run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from mtlgym.bench.runs.cell import DIGITS, Cell
from mtlgym.bench.runs.run import Run
from mtlgym.io import checked_json
from mtlgym.lookup import lookup


class Logger(Protocol):
    """A receiver of the rows of a run's log."""

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Log the numbers of a period that ended with this step."""

    def close(self) -> None:
        """Flush and close."""


class TensorBoard:
    """Writes event files that `tensorboard --logdir` shows.

    A continued run passes the step of its checkpoint as `purge_step`, so that TensorBoard drops
    what was logged after that checkpoint.
    """

    def __init__(self, cell: Cell, folder: Path, step: int) -> None:
        """Log to `folder/tensorboard`."""
        from torch.utils.tensorboard.writer import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step)

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Log the numbers of a period that ended with this step."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()


class WandB:
    """Logs to Weights & Biases, offline: `wandb sync` uploads the folder if one wants that.

    The sittings of one run have one id, so that they are one run once they are uploaded.
    """

    def __init__(self, cell: Cell, folder: Path, step: int) -> None:
        """Log to `folder/wandb`."""
        import wandb

        described = cell.describe()
        self._run = wandb.init(
            project="mtlgym",
            name=f"{cell.name}, seed {cell.seed}",
            group=cell.env,
            id=checked_json.digest(described)[:DIGITS],
            config=described,
            dir=str(folder),
            mode="offline",
            resume="allow",
            settings=wandb.Settings(silent=True, console="off", disable_git=True),
        )

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Log the numbers of a period that ended with this step."""
        self._run.log(dict(scalars), step=step)

    def close(self) -> None:
        """Flush and close."""
        self._run.finish()


LOGGERS: dict[str, Callable[[Cell, Path, int], Logger]] = {
    "tensorboard": TensorBoard,
    "wandb": WandB,
}


class Loggers:
    """Passes the rows of a run's log to loggers, which are opened with the first row.

    They must be closed; an error of one does not leave the others open.

    Attributes:
        names: keys of `LOGGERS`.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Take the names.

        Raises:
            ValueError: for one that is unknown.
            ImportError: for one whose package is missing; names the extra.
        """
        for name in names:
            lookup(LOGGERS, name, "logger")
            if find_spec(name) is None:  # they are called as their packages
                raise ImportError(f"logger {name!r} needs its package: pip install mtlgym[loggers]")
        self.names = tuple(dict.fromkeys(names))
        self._open: list[Logger] | None = None
        self._closing = ExitStack()

    def on_row(self, run: Run, row: dict[str, Any]) -> None:
        """Pass a row of the run's log to the loggers."""
        if self._open is None:
            self._open = []
            for name in self.names:
                logger = LOGGERS[name](run.cell, run.folder, row["step"])
                self._closing.callback(logger.close)
                self._open.append(logger)
        scalars = dict(flat(row, run.tasks))
        for logger in self._open:
            logger.write(row["step"], scalars)

    def close(self) -> None:
        """Close all that are open."""
        self._open = None
        self._closing.close()


def flat(row: Mapping[str, Any], tasks: Sequence[str]) -> Iterator[tuple[str, float]]:
    """The row's numbers by name; elements of lists as `key/task`."""
    for key, value in row.items():
        match value:
            case bool() | str() | None:
                continue
            case int() | float():
                yield key, float(value)
            case list() if len(value) == len(tasks):
                yield from ((f"{key}/{task}", x) for task, x in zip(tasks, value, strict=True))
            case dict():
                yield from ((f"{key}/{name}", x) for name, x in value.items() if x is not None)
