"""Train and compare agents that steer multi-task training."""

import sys
import warnings
from collections.abc import Callable, Sequence

import gymnasium as gym
import tyro
from rich.console import Console
from rich.table import Column, Table

from mtlgym.bench.command import FAILED, bench, console
from mtlgym.bench.figures import figures
from mtlgym.bench.page.command import report
from mtlgym.bench.runs.backends import signals
from mtlgym.bench.runs.execution import FailedRunsError
from mtlgym.bench.runs.options import Options, parse_options
from mtlgym.bench.sweep_command import sweep
from mtlgym.bench.table_files import tables
from mtlgym.bench.train_command import train
from mtlgym.bench.tune_command import tune
from mtlgym.data_commands import data
from mtlgym.presets import preset, presets

INTERRUPTED = 130  # exit code, and 143 for SIGTERM; 0 is success, 1 failure, 2 wrong usage


def list_ids() -> int:
    """List the environments, and the published tables that `mtlgym bench --preset` runs."""
    table = Table("id", "data", "what it is")
    for each in presets().values():
        data = each.options.get("data", "auto") if "problem" in each.options else "synthetic"
        table.add_row(each.id, data, each.title)
    console.print(table)
    table = Table(Column("preset", no_wrap=True), "id", "what it reproduces")
    shown = [(each.name, each.env, each.title) for each in tables().values()]
    shown += [(each.name, each.env, each.title) for each in figures().values()]
    for row in shown:
        table.add_row(*row)
    console.print(table)
    return 0


def check(env: str, options: Options = (), steps: int = 5) -> int:
    """Check an environment: Gymnasium's and Stable-Baselines3's rules, and determinism.

    Args:
        env: id of the environment; see `mtlgym list`.
        options: options of the environment.
        steps: length of the rollouts that are compared.
    """
    from mtlgym.bench.check import CHECKS

    preset(env)
    failures = 0
    for title, function in CHECKS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)
                warnings.filterwarnings("ignore", message="no real")  # data: not what is checked
                function(lambda: gym.make(env, **parse_options(options)), steps)
        except (AssertionError, Warning, gym.error.Error, ValueError, TypeError) as error:
            console.print(f"failed  {title}: {error}", style="red")
            failures += 1
        else:
            console.print(f"passed  {title}", style="green")
    return FAILED if failures else 0


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
    """Run the command; give the exit code."""
    try:
        return tyro.extras.subcommand_cli_from_dict(
            COMMANDS, args=arguments, prog="mtlgym", description=__doc__
        )
    except (ValueError, OSError, ImportError, FailedRunsError, gym.error.Error) as error:
        _complain(str(error))
        return FAILED
    except signals.InterruptedRunError as error:
        _complain("interrupted; the same command goes on from the last checkpoints")
        return error.exit_code
    except KeyboardInterrupt:
        _complain("interrupted; the same command goes on from the last checkpoints")
        return INTERRUPTED


def _complain(text: str) -> None:
    Console(stderr=True).print(f"mtlgym: {text}", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
