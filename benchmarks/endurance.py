"""Growth of memory and of the number of objects over 10,000 resets and 10,000 steps of every id.

    python benchmarks/endurance.py [--ids MTL-Bandit-v0 ...] [--count 10000] [--vector]

Each id runs in a process of its own, with the smallest network that its options allow. Every reset
has a seed of its own and so builds a network. After a tenth of each as a warm-up, the resident
memory and the objects that the garbage collector knows are taken before and after the rest. Nothing
should grow with the count: a leak of one array or tensor per call would show as 10,000 objects or
tens of megabytes.
"""

import gc
import resource
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro

import mtlgym  # noqa: F401  # registers the ids
from mtlgym.presets.environments import presets
from mtlgym.problems import builder_options, image_options

IDS = sorted(presets())
DOMAINS = {"hidden": 4, "latent": 2, "samples": 1, "batch_size": 10}
ROOMS = {"height": 16, "width": 16, "filters": [2, 2], "rooms": [8, 2, 2], "batch_size": 1}
TEXTS = {"layers": 1, "width": 8, "attention_heads": 2, "max_length": 8, "batch_size": 2}
MOLECULES = {"dim": 4, "edge_hidden": 4, "batch_size": 2}
ROUTES = {"width": 4, "filters": 2, "batch_size": 4}
# By the problem; the bandit has none.
SMALL: dict[str, dict[str, Any]] = {
    "": {"steps": 100},
    "glue": TEXTS,
    "nyuv2": ROOMS,
    "qm9": MOLECULES,
    **dict.fromkeys(("cifar100", "mini_imagenet", "mnist"), ROUTES),
    **dict.fromkeys(("domainnet", "imageclef", "office_caltech", "office_home"), DOMAINS),
}


@dataclass
class Args:
    """What is measured."""

    ids: list[str] = field(default_factory=lambda: list(IDS))
    count: int = 10_000
    vector: bool = False  # the vector forms, of three rows
    child: bool = False  # measure here, and print one row


def options(id: str) -> dict[str, Any]:
    """What the environment is made with."""
    problem = presets()[id].options.get("problem", "")
    if not problem:
        return SMALL[""]
    known = image_options(problem) if presets()[id].routes else builder_options(problem)
    validation = {} if presets()[id].routes else {"validate_every": 0, "scheduler": "constant"}
    return {**SMALL[problem], **({"data": "embedded"} if "data" in known else {}), **validation}


def make(args: Args) -> Any:
    """The environment, or its vector form."""
    chosen = options(args.ids[0])
    if not args.vector:
        return gym.make(args.ids[0], **chosen).unwrapped
    rows = {key: value for key, value in chosen.items() if key != "batch_size"}
    return gym.make_vec(args.ids[0], num_envs=3, **rows).unwrapped


def taken() -> np.ndarray:
    """Megabytes of resident memory, and objects that the garbage collector knows."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return np.array([pages * resource.getpagesize() / 2**20, len(gc.get_objects())])


def measure(act: Any, count: int) -> tuple[np.ndarray, float]:
    """What the calls leave behind after the first tenth of them, and seconds a call."""
    for k in range(count // 10):
        act(k)
    before, started = taken(), time.perf_counter()
    for k in range(count // 10, count):
        act(k)
    seconds = time.perf_counter() - started
    return taken() - before, seconds / (count - count // 10)


def row(args: Args) -> str:
    """The figures of one id."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", UserWarning)
    env = make(args)
    env.action_space.seed(0)
    resets, seconds_reset = measure(lambda k: env.reset(seed=k), args.count)

    def step(k: int) -> None:
        try:
            *_, terminated, truncated, _ = env.step(env.action_space.sample())
        except gym.error.ResetNeeded:
            terminated, truncated = True, False
        if not args.vector and (terminated or truncated):
            env.reset()

    steps, seconds_step = measure(step, args.count)
    return (
        f"| {args.ids[0]} | {resets[0]:+.1f} | {resets[1]:+.0f} | {1e3 * seconds_reset:.2f} "
        f"| {steps[0]:+.1f} | {steps[1]:+.0f} | {1e3 * seconds_step:.2f} |"
    )


def main(args: Args) -> None:
    """Measure each id in a process of its own and print a table."""
    if args.child:
        print(row(args))
        return
    print(f"{args.count} resets, then {args.count} steps; growth after the first tenth\n")
    print("| id | resets: MB | objects | ms each | steps: MB | objects | ms each |")
    print("|---|---|---|---|---|---|---|")
    for id in args.ids:
        if args.vector and presets()[id].vector_entry_point is None:
            continue
        given = ["--ids", id, "--count", str(args.count), "--child"]
        command = [sys.executable, __file__, *given, *(["--vector"] if args.vector else [])]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        print(found.stdout.strip() or f"| {id} | {found.stderr.strip()[-300:]} |", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Args))
