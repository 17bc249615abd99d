"""Cells of agents and methods as they were tuned."""

from collections.abc import Sequence
from pathlib import Path

from mtlgym import sealed
from mtlgym.bench.cell import Cell
from mtlgym.lookup import lookup


def cells(path: Path, env: str, specs: Sequence[str], seeds: Sequence[int]) -> list[Cell]:
    """Cells of tuned agents, a seed at a time.

    Args:
        path: the file that `tune` gave.
        env: the environment's id.
        specs: those that were tuned, or some of them; all if none are given.
        seeds: one cell a seed.

    Raises:
        ValueError: for a damaged file, one of another environment, or a spec that was not tuned.
        OSError: if it cannot be read.
    """
    found = sealed.read(path)
    if found.get("env") != env:
        raise ValueError(f"{path} is of {found.get('env')!r}, not of {env!r}")
    methods = found.get("methods")
    if not isinstance(methods, dict) or not methods:
        raise ValueError(f"{path} is no file of `mtlgym tune`: it has no `methods`")
    wanted = {spec: lookup(methods, spec, f"tuned agent in {path}") for spec in specs or methods}
    made = []
    for seed in seeds:
        for spec, chosen in wanted.items():
            told = {"agent": spec, **{key: found[key] for key in ("trials", "seeds", "by")}}
            told |= {key: chosen[key] for key in ("settings", "score")}
            options = {**found["options"], **chosen["options"]}
            made.append(Cell(env, chosen["agent"], seed, options, tuned=told))
    return made
