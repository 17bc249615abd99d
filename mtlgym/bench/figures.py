"""Figure presets: published comparisons of policies on the bandit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from mtlgym import checks
from mtlgym.bench import table_files
from mtlgym.bench.tables import Row, check_rows
from mtlgym.lookup import lookup


@dataclass(frozen=True)
class FigurePreset:
    """A published figure: environment, policies, oracles and seeds.

    Attributes:
        name: what `mtlgym bench --preset` takes.
        title: what it reproduces, and the paper.
        env: id of the environment.
        rows: the policies.
        seeds: one run a seed, oracle and policy. The environment's seed, from which MaxP and u are
            drawn; a policy's own draws follow from the whole list.
        oracles: oracles drawn, the k-th, from 0, from seed 1000 + k.
        options: what the environment is made with.
        file: the file's name.
    """

    name: str
    title: str
    env: str
    rows: Sequence[Row]
    seeds: Sequence[int] = (0,)
    oracles: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""

    def __post_init__(self) -> None:
        """Refuse a figure without oracles."""
        checks.integer("oracles", self.oracles, least=1)

    def check(self) -> None:
        """See that the id and all agents are known.

        Raises:
            ValueError: for one that is not; names the file and the row.
        """
        check_rows(self.file, (self.env,), self.rows)


@cache
def figures() -> dict[str, FigurePreset]:
    """All figure presets by name.

    Raises:
        ValueError: for a file that is no figure preset; names it.
    """
    return {each.name: each for each in table_files.read_folder("figures", FigurePreset)}


def figure(name: str, labels: Sequence[str] = (), oracles: int | None = None) -> FigurePreset:
    """The figure preset of that name, checked, with these rows and oracles or all of its own.

    Raises:
        ValueError: for an unknown name or label, with the nearest; for an unknown id or agent.
    """
    found = lookup(figures(), name, "preset")
    found.check()
    known = {row.label: row for row in found.rows}
    rows = [lookup(known, label, f"row of {name}") for label in labels or known]
    return replace(found, rows=rows, oracles=found.oracles if oracles is None else oracles)
