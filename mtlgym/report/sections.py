"""Runs as a report has them: by environment and kind of data, then by agent."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mtlgym.bench.runs.results import Finished
from mtlgym.io.names import folder_name
from mtlgym.report.summary import REFERENCE

REFERENCES = (REFERENCE, "uniform")  # agents that others are compared with; the first that ran
EMBEDDED = "embedded data: not comparable with published figures"


@dataclass(frozen=True, eq=False)
class Section:
    """The runs of one environment on one kind of data.

    Attributes:
        env: the environment's id.
        data: `real`, `embedded` or `synthetic`.
        stand_in_for: id of the environment that it stands in for, empty for none.
        agents: an agent's or row's name -> its runs; at least one, the reference first.
        reference: the name of the agent that the others are compared with.
        repeated: how many runs are left out, as the same agent ran from the same seed before.
    """

    env: str
    data: str
    stand_in_for: str
    agents: Mapping[str, list[Finished]]
    reference: str
    repeated: int = 0

    @property
    def runs(self) -> list[Finished]:
        """All runs, an agent's after another's."""
        return [run for runs in self.agents.values() for run in runs]

    @property
    def results(self) -> list[dict[str, Any]]:
        """Their results."""
        return [run.result for run in self.runs]

    @property
    def title(self) -> str:
        """The environment and the kind of data."""
        what = f", in place of {self.stand_in_for}" if self.stand_in_for else ""
        return f"{self.env}, {self.data} data{what}"

    @property
    def slug(self) -> str:
        """A name for files and anchors."""
        return folder_name("-".join(filter(None, (self.env, self.data, self.stand_in_for))))

    @property
    def note(self) -> str:
        """What its figures must not be compared with; empty for nothing."""
        return EMBEDDED if self.data == "embedded" or self.stand_in_for else ""

    @property
    def kind(self) -> str:
        """What kind of environment it is: `routing`, `bandit` or `training`."""
        first = self.results[0]
        if "routes" in first:
            return "routing"
        return "bandit" if first["data"] == "synthetic" else "training"

    @property
    def tasks(self) -> list[str]:
        """The tasks of all runs."""
        return list(dict.fromkeys(task for result in self.results for task in result["tasks"]))

    @property
    def seeds(self) -> int:
        """The most runs that an agent has."""
        return max(len(runs) for runs in self.agents.values())


def sections(runs: Sequence[Finished]) -> list[Section]:
    """The runs by environment, kind of data and what they stand in for."""
    groups: dict[tuple[str, str, str], list[Finished]] = defaultdict(list)
    for run in runs:
        result = run.result
        key = result["env"], result["data"], result.get("stand_in_for", "")
        groups[key].append(run)
    return [_section(key, groups[key]) for key in sorted(groups)]


def _section(key: tuple[str, str, str], runs: Sequence[Finished]) -> Section:
    agents: dict[str, dict[int, Finished]] = defaultdict(dict)
    for run in _told_apart(runs):
        agents[run.name].setdefault(run.result["seed"], run)
    found = {name: list(seeds.values()) for name, seeds in agents.items()}
    reference = _reference(found)
    order = sorted(found, key=lambda name: (name != reference, name))
    repeated = len(runs) - sum(len(each) for each in found.values())
    return Section(*key, {name: found[name] for name in order}, reference, repeated)


def _told_apart(runs: Sequence[Finished]) -> list[Finished]:
    """The runs, with a number behind the names of those that were tuned in several ways."""
    ways: dict[str, list[Any]] = defaultdict(list)
    for run in runs:
        if run.result.get("tuned", {}) not in ways[run.name]:
            ways[run.name].append(run.result.get("tuned", {}))
    found = []
    for run in runs:
        several = ways[run.name]
        place = several.index(run.result.get("tuned", {})) + 1
        found.append(replace(run, name=f"{run.name} {place}") if len(several) > 1 else run)
    return found


def _reference(agents: Mapping[str, Sequence[Finished]]) -> str:
    """The agent of equal weights, else the uniform one, else the first by name.

    Of several rows of it, one that was not tuned, with the fewest options.
    """
    for wanted in REFERENCES:
        rows = [name for name, runs in agents.items() if runs[0].result["agent"] == wanted]
        if rows:
            first = {name: agents[name][0].result for name in rows}
            keys = {n: (bool(r.get("tuned")), len(r["options"]), n) for n, r in first.items()}
            return min(rows, key=lambda name: keys[name])
    return min(agents)
