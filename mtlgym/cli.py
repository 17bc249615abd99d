"""Train and compare agents that steer multi-task training."""

import json
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import gymnasium as gym
import tyro
from rich.console import Console
from rich.table import Column, Table

from mtlgym import checks
from mtlgym.bench.command import FAILED, bench, console
from mtlgym.bench.figures import figures
from mtlgym.bench.options import Options, parse_options
from mtlgym.bench.table_files import tables
from mtlgym.data_commands import data
from mtlgym.presets import preset, presets

INTERRUPTED = 130  # exit code; 0 is success, 1 failure, 2 wrong usage


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


def train(
    env: str,
    agent: str = "igbv2",
    seed: int = 0,
    out: Path = Path("runs"),
    options: Options = (),
    checkpoint_every: int = 500,
    threads: int = 1,
) -> int:
    """Train one environment by one agent. Called again, a run that was cut short goes on.

    Args:
        env: id of the environment; see `mtlgym list`.
        agent: igbv2 or a balancing method where tasks are weighed: equal, igbv1, dwa:window=25,
            dwa+si, nash, igbv1+nash, igbv2+cagrad:c=0.4; where one is chosen: exp3s,
            counterfactual, task_size, ucb1, thompson, resting; where samples are routed: wpl,
            q_learning:representation=network, reinforce:baseline=mean, actor_critic; uniform
            for all.
        seed: of the environment and the agent.
        out: folder for settings, log, checkpoint and result.
        options: options of the environment.
        checkpoint_every: steps from one checkpoint to the next.
        threads: of torch; with small models one is the fastest.
    """
    import torch

    from mtlgym.bench.bench import with_progress
    from mtlgym.bench.cell import Cell

    checks.integer("threads", threads, least=1)
    torch.set_num_threads(threads)
    cell = Cell(env, agent, seed, parse_options(options))
    result = with_progress(cell, cell.folder(out), checkpoint_every)
    console.print_json(json.dumps(result))
    return FAILED if result["failure"] else 0


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
    "check": check,
    "data": data,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give the exit code."""
    try:
        return tyro.extras.subcommand_cli_from_dict(
            COMMANDS, args=arguments, prog="mtlgym", description=__doc__
        )
    except (ValueError, OSError, ImportError, gym.error.Error) as error:
        Console(stderr=True).print(
            f"mtlgym: {error}", markup=False, highlight=False, soft_wrap=True
        )
        return FAILED
    except KeyboardInterrupt:
        Console(stderr=True).print(
            "mtlgym: interrupted; the same command goes on from the last checkpoints"
        )
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
