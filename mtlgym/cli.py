"""Train and compare agents that steer multi-task training."""

import json
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import gymnasium as gym
import tyro
from rich.console import Console
from rich.table import Table

from mtlgym import checks
from mtlgym.bench.options import parse_options
from mtlgym.datasets import audit, sources
from mtlgym.presets import preset, presets

FAILED, INTERRUPTED = 1, 130  # exit codes; 0 is success, 2 wrong usage
Options = Annotated[
    tuple[str, ...],
    tyro.conf.arg(
        name="set",
        metavar="KEY=VALUE",
        help="Options of the environment, values as JSON or text: lr=5e-4 data=real epochs=3.",
    ),
]
console = Console(markup=False, highlight=False)


def list_ids() -> int:
    """List the environments."""
    table = Table("id", "data", "what it is")
    for each in presets().values():
        table.add_row(each.id, each.options.get("data", "auto"), each.title)
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
        agent: igbv2, uniform, or a loss-balancing method: equal, igbv1, uw, dwa:window=25, dwa+si.
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


def bench(
    env: str,
    agents: tuple[str, ...] = ("equal", "rlw", "uw", "igbv1", "igbv2"),
    seeds: tuple[int, ...] = (0,),
    out: Path = Path("runs"),
    options: Options = (),
    stl: bool = False,
    checkpoint_every: int = 500,
    jobs: int = 1,
) -> int:
    """Train one environment by several agents; write results, tables and plots.

    Finished runs are kept, and a run that was cut short goes on.

    Args:
        env: id of the environment; see `mtlgym list`.
        agents: as for `mtlgym train`; `equal` is what training times are compared with.
        seeds: one run a seed and agent.
        out: folder for everything.
        options: options of the environment.
        stl: train each task alone in place of the agents, and print the figures as a baseline.
        checkpoint_every: steps from one checkpoint to the next.
        jobs: runs at the same time, in processes of one thread each; T is then less exact.
    """
    import torch

    from mtlgym.bench import report
    from mtlgym.bench import stl as single
    from mtlgym.bench.bench import bench as run_all
    from mtlgym.bench.summary import summarise

    torch.set_num_threads(1)
    given = parse_options(options)
    if stl:
        values = single.single_task(env, seeds, out, given, checkpoint_every, jobs)
        command = f"mtlgym bench --env {env} --stl --seeds {' '.join(map(str, seeds))}"
        command += f" --set {' '.join(options)}" if options else ""
        text = single.to_toml(values, command)
        (out / env / "stl.toml").write_text(text, encoding="utf-8")
        console.print(text, soft_wrap=True)
        return 0
    results = run_all(env, agents, seeds, out, given, checkpoint_every, jobs)
    console.print(report.terminal(summarise(results), results))
    console.print(f"Tables and plots are in {out / env}")
    return FAILED if any(result["failure"] for result in results) else 0


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


def data(action: tyro.conf.Positional[Literal["status", "verify"]]) -> int:
    """Say which data sets are there and how to get the others, or check the files.

    Args:
        action: `status` lists, `verify` checks every file that is there against its SHA-256.
    """
    if action == "status":
        table = Table("data set", "real files", "embedded stand-in")
        for name in sources.DATASETS:
            status = sources.status(name)
            table.add_row(name, str(status.real or status.remedy), str(status.embedded))
        console.print(table)
        return 0
    audits = [each for name in sources.DATASETS for each in audit.audit(name).items()]
    for path, damage in audits:
        text, style = (f"damaged  {damage}", "red") if damage else (f"sound  {path}", "green")
        console.print(text, style=style, soft_wrap=True)
    return FAILED if any(damage for _, damage in audits) else 0


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
            "mtlgym: interrupted; the same command goes on from the last checkpoint"
        )
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
