"""The command `mtlgym train`."""

import json
import os
from pathlib import Path

from rich.console import Console

from mtlgym import checks
from mtlgym.bench.runs.backends import signals
from mtlgym.bench.runs.cell import Cell, read_result
from mtlgym.bench.runs.execution import CHECKPOINT_EVERY
from mtlgym.bench.runs.options import Options, parse_options
from mtlgym.cli.bench import FAILED, console


def train(
    env: str,
    agent: str = "igbv2",
    seed: int = 0,
    out: Path = Path("runs"),
    options: Options = (),
    checkpoint_every: int = CHECKPOINT_EVERY,
    threads: int = 1,
    log: tuple[str, ...] = (),
    policy: Path | None = None,
    trust: bool = False,
) -> int:
    """Train one environment by one agent, and save the agent. Called again, it continues.

    With `--set distributed=true`, in all processes that torchrun starts; the first has the agent.

    Args:
        env: id of the environment; see `mtlgym list`.
        agent: igbv2 or a balancing method where tasks are weighed: equal, igbv1, dwa:window=25,
            dwa+si, nash, igbv1+nash, igbv2+cagrad:c=0.4; where one is chosen: exp3s,
            counterfactual, task_size, ucb1, thompson, resting; where samples are routed: wpl,
            q_learning:representation=network, reinforce:baseline=mean, actor_critic; uniform
            for all.
        seed: of the environment and the agent.
        out: folder for settings, log, checkpoints, result, and the agent for `--policy`.
        options: options of the environment.
        checkpoint_every: steps from one checkpoint to the next.
        threads: of torch; with small models one is the fastest.
        log: loggers besides the log file: tensorboard, wandb (offline).
        policy: instead of `agent`, a saved agent: the folder `agent` of another run, or a zip of
            Stable-Baselines3. It does not learn.
        trust: open such a zip, which can run code of its author.
    """
    import torch

    from mtlgym.bench.runs import kept_policy
    from mtlgym.bench.runs.backends.backends import with_progress
    from mtlgym.bench.runs.keep_agent import keep
    from mtlgym.bench.runs.loggers import Loggers

    checks.integer("threads", threads, least=1)
    torch.set_num_threads(threads)
    loggers, given = Loggers(log), parse_options(options)
    cell = Cell(env, agent, seed, given)
    if policy is not None:
        spec, described = kept_policy.describe(policy, trust)
        cell = Cell(env, spec, seed, given, policy=described)
    folder = cell.folder(out)
    if given.get("distributed") and int(os.environ.get("RANK", 0)):
        return _follow(cell, folder)
    with signals.caught():
        try:
            result = with_progress(cell, folder, checkpoint_every, loggers.on_row)
        finally:
            loggers.close()
    console.print_json(json.dumps(result))
    if policy is None:
        Console(stderr=True).print(f"The agent is saved in {keep(cell, folder)}", soft_wrap=True)
    return FAILED if result["failure"] else 0


def _follow(cell: Cell, folder: Path) -> int:
    """Take part in the training of the first process until it ends."""
    from mtlgym.bench.runs.factory import make

    if read_result(cell, folder) is None:  # else the first process makes no environment either
        with signals.caught():  # the leader decides when to stop
            make(cell)[0].follow()
    return 0
