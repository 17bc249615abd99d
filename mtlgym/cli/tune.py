"""The command `mtlgym tune`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtlgym.bench.runs.execution import PLAIN, Flat
from mtlgym.bench.runs.options import Options, parse_options
from mtlgym.cli.bench import AGENTS, console


def tune(
    env: str,
    agents: tuple[str, ...] = (*AGENTS, "fixed"),
    trials: int = 20,
    seeds: tuple[int, ...] = (1000,),
    out: Path = Path("runs"),
    options: Options = (),
    how: Flat = PLAIN,
) -> int:
    """Search settings of agents and methods, the same number of trials for each.

    Learning rate, weight decay and each one's own settings are searched, fixed task weights among
    them, by Optuna's TPE; the settings with the best validation are chosen, and written to a file
    for `mtlgym bench --tuned`. An interrupted search continues when called again.

    Args:
        env: id of the environment; see `mtlgym list`.
        agents: as for `mtlgym train`; settings in a spec are fixed.
        trials: for each of them.
        seeds: a trial is one run a seed; use others than those of the comparison.
        out: folder for everything.
        options: options of the environment; a given `lr` or `weight_decay` is not searched.
        how: how the runs are carried out.
    """
    import torch

    from mtlgym.bench import tuning

    torch.set_num_threads(1)

    def tell(spec: str, found: Mapping[str, Any]) -> None:
        chosen = ", ".join(f"{key} {value:.4g}" for key, value in found["settings"].items())
        told = f"{spec}: {found['score']:.4g} on validation (lower is better)"
        console.print(f"{told}{f', by {chosen}' if chosen else ''}", soft_wrap=True)

    given = parse_options(options)
    path = tuning.tune(tuning.Search(env, trials, seeds, given), agents, out, how, tell)
    console.print(f"mtlgym bench --env {env} --tuned {path}", soft_wrap=True)
    return 0
