"""Finished runs grouped for a report: by environment and kind of data, then by agent."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mtlgym.bench.runs.results import Finished
from mtlgym.io.names import folder_name
from mtlgym.presets.environments import presets

EQUAL = "equal"  # the agent of equal weights
REFERENCES = (EQUAL, "uniform")  # agents that others are compared with; the first that was run
EMBEDDED = "embedded data: not comparable with published figures"


@dataclass(frozen=True, eq=False)
class Section:
    """The runs of one environment on one kind of data.

    Attributes:
        agents: name of an agent or of a published table's row -> its runs, at least one; the
            reference is the first.
        reference: the name of the agent that the others are compared with.
        repeated: the number of runs that are left out, since the same agent has another run with
            the same seed.
    """

    agents: Mapping[str, list[Finished]]
    reference: str
    repeated: int = 0

    @classmethod
    def of(cls, runs: Sequence[Finished]) -> "Section":
        """The section of these runs, at least one, which are all of one environment."""
        agents: dict[str, dict[Any, Finished]] = defaultdict(dict)
        for run in _with_distinct_names(runs):
            agents[run.name].setdefault((run.seed, run.result.get("oracle")), run)
        by_name = {name: list(seeds.values()) for name, seeds in agents.items()}
        reference = _reference(by_name)
        order = sorted(by_name, key=lambda name: name != reference)
        repeated = len(runs) - sum(len(each) for each in by_name.values())
        return cls({name: by_name[name] for name in order}, reference, repeated)

    @property
    def runs(self) -> list[Finished]:
        """All runs, agent after agent."""
        return [run for runs in self.agents.values() for run in runs]

    @property
    def results(self) -> list[dict[str, Any]]:
        """The results of all runs."""
        return [run.result for run in self.runs]

    @property
    def env(self) -> str:
        """The environment's id."""
        return self.results[0]["env"]

    @property
    def data(self) -> str:
        """The kind of data: `real`, `embedded` or `synthetic`."""
        return self.results[0]["data"]

    @property
    def stand_in_for(self) -> str:
        """Id of the environment that this one replaces where its data are missing, else empty."""
        return self.results[0].get("stand_in_for", "")

    @property
    def kind(self) -> str:
        """The kind of environment: `training`, `routing` or `bandit`."""
        first = self.results[0]
        if "kind" in first:
            return first["kind"]
        known = presets().get(first["env"])  # results of earlier versions have no kind
        return known.kind if known else "training"

    @property
    def title(self) -> str:
        """The environment and the kind of data."""
        replaced = f", in place of {self.stand_in_for}" if self.stand_in_for else ""
        return f"{self.env}, {self.data} data{replaced}"

    @property
    def slug(self) -> str:
        """A name for files and anchors."""
        return folder_name("-".join(filter(None, (self.env, self.data, self.stand_in_for))))

    @property
    def note(self) -> str:
        """A warning about comparisons that the data do not allow; empty if there is none."""
        return EMBEDDED if self.data == "embedded" or self.stand_in_for else ""

    @property
    def tasks(self) -> list[str]:
        """The tasks of all runs."""
        return list(dict.fromkeys(task for result in self.results for task in result["tasks"]))

    @property
    def seeds(self) -> int:
        """The largest number of runs of an agent."""
        return max(len(runs) for runs in self.agents.values())

    @property
    def has_equal_weights(self) -> bool:
        """Whether the reference is equal weights with no option that another run lacks."""
        first = self.agents[self.reference][0].result
        return first["agent"] == EQUAL and (
            not first.get("label")
            or all(first["options"].items() <= each["options"].items() for each in self.results)
        )


def group_runs(runs: Sequence[Finished]) -> list[Section]:
    """Group runs by environment, kind of data and the environment that they stand in for."""
    groups: dict[tuple[str, str, str], list[Finished]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: run.name):
        result = run.result
        groups[result["env"], result["data"], result.get("stand_in_for", "")].append(run)
    return [Section.of(groups[key]) for key in sorted(groups)]


def _with_distinct_names(runs: Sequence[Finished]) -> list[Finished]:
    """The runs; agents of one name that were tuned in several ways have a number in theirs."""
    ways: dict[str, list[Any]] = defaultdict(list)
    for run in runs:
        if run.result.get("tuned", {}) not in ways[run.name]:
            ways[run.name].append(run.result.get("tuned", {}))
    named = []
    for run in runs:
        several = ways[run.name]
        number = several.index(run.result.get("tuned", {})) + 1
        named.append(replace(run, name=f"{run.name} {number}") if len(several) > 1 else run)
    return named


def _reference(agents: Mapping[str, Sequence[Finished]]) -> str:
    """The agent of equal weights, else the uniform one, else the first by name.

    Of several rows of that agent it is one that was not tuned, with the fewest options.
    """
    for wanted in REFERENCES:
        rows = [name for name, runs in agents.items() if runs[0].result["agent"] == wanted]
        if rows:
            first = {name: agents[name][0].result for name in rows}
            keys = {n: (bool(r.get("tuned")), len(r["options"]), n) for n, r in first.items()}
            return min(rows, key=lambda name: keys[name])
    return min(agents)
