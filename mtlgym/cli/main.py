"""Train and compare agents that steer multi-task training."""

from collections.abc import Callable, Sequence

import gymnasium as gym
import tyro
from rich.console import Console

from mtlgym.bench.runs.backends import signals
from mtlgym.bench.runs.execution import FailedRunsError
from mtlgym.cli.bench import FAILED, bench
from mtlgym.cli.check import check
from mtlgym.cli.data import data
from mtlgym.cli.list import list_ids
from mtlgym.cli.report import report
from mtlgym.cli.sweep import sweep
from mtlgym.cli.train import train
from mtlgym.cli.tune import tune

INTERRUPTED = 130  # exit code, and 143 for SIGTERM; 0 is success, 1 failure, 2 wrong usage

COMMANDS: dict[str, Callable[..., int]] = {
    "list": list_ids,
    "train": train,
    "bench": bench,
    "sweep": sweep,
    "tune": tune,
    "report": report,
    "check": check,
    "data": data,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    try:
        return tyro.extras.subcommand_cli_from_dict(
            COMMANDS, args=arguments, prog="mtlgym", description=__doc__
        )
    except (ValueError, OSError, ImportError, FailedRunsError, gym.error.Error) as error:
        _complain(str(error))
        return FAILED
    except signals.InterruptedRunError as error:
        _complain("interrupted; the same command continues from the last checkpoints")
        return error.exit_code
    except KeyboardInterrupt:
        _complain("interrupted; the same command continues from the last checkpoints")
        return INTERRUPTED


def _complain(text: str) -> None:
    Console(stderr=True).print(f"mtlgym: {text}", markup=False, highlight=False, soft_wrap=True)
