"""What an environment's table says of each agent: means over runs, with intervals."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtlgym.presets.published import TablePreset, tables
from mtlgym.report.scores import gains
from mtlgym.report.sections import Section
from mtlgym.report.summary import Interval

ORACLE = "oracle"  # the agent that knows which arm to pull how often
DELTA, TIME, GAIN = "delta_m", "T", "gain"  # columns beside the metrics


@dataclass(frozen=True)
class Measure:
    """A figure of one agent.

    Attributes:
        interval: its mean over the runs that have it, with the interval by Student's t.
        runs: how many these are.
        published: the paper's figure, None where there is none to compare with.
    """

    interval: Interval
    runs: int
    published: float | None = None

    @classmethod
    def of(cls, values: Sequence[float], published: float | None = None) -> "Measure":
        """The figure of these runs, at least one."""
        return cls(Interval.of(values), len(values), published)


Measures = dict[str, dict[str, Measure]]  # agent -> column -> measure


def measures(section: Section) -> Measures:
    """Delta_m and improvement in percent, T in times of the reference, and all metrics."""
    better = gains(section)
    unit = float(np.mean([run.result["seconds"] for run in section.agents[section.reference]]))
    found: Measures = {}
    for name, runs in section.agents.items():
        values: dict[str, list[Any]] = defaultdict(list)
        for run in runs:
            values[DELTA].append(run.result["delta_m"])
            values[TIME].append(run.result["seconds"] / unit if unit else None)
        values[GAIN].extend(better[name])
        for run in runs:
            for key, value in run.result["test"].items():
                values[key].append(value)
        known = {key: [x for x in each if x is not None] for key, each in values.items()}
        theirs = _published(section, name)
        found[name] = {
            key: Measure.of(each, theirs.get(key)) for key, each in known.items() if each
        }
    return found


def columns(found: Measures) -> list[str]:
    """The columns that an agent has a figure in."""
    names = dict.fromkeys(key for figures in found.values() for key in figures)
    first = [key for key in (DELTA, TIME, GAIN) if key in names]
    return [*first, *(key for key in names if key not in first)]


def titles(section: Section, keys: list[str]) -> dict[str, str]:
    """The columns' titles with unit and direction."""
    units: dict[str, str] = {}
    higher: dict[str, bool] = {}
    for result in section.results:
        units |= result["units"]
        higher |= result["higher_is_better"]
    own = {DELTA: "Δm [%]", TIME: "T", GAIN: f"vs {section.reference} [%]"}
    higher |= {DELTA: False, TIME: False, GAIN: True}
    found = {}
    for key in keys:
        unit = f" [{units[key]}]" if units.get(key) else ""
        arrow = {True: "\N{NO-BREAK SPACE}↑", False: "\N{NO-BREAK SPACE}↓", None: ""}
        found[key] = own.get(key, key + unit) + arrow[higher.get(key)]
    return found


def _published(section: Section, name: str) -> Mapping[str, float]:
    """The paper's figures of the row that all runs of that name are of; none where it is in doubt.

    They have to be of the preset's environment, data and options, as `TablePreset.published` wants.
    """
    results = [run.result for run in section.agents[name]]
    for preset in tables().values():
        if all(_is_of(preset, result) for result in results):
            figures = preset.published(results).get(results[0]["label"])
            if figures:
                return figures
    return {}


def _is_of(preset: TablePreset, result: Mapping[str, Any]) -> bool:
    """Whether the result is of one of the preset's rows, with all its options."""
    row = next((row for row in preset.rows if row.label == result.get("label")), None)
    if row is None or row.agent != result["agent"] or result.get("tuned"):
        return False
    own = preset.options_of(row, real=result["data"] == "real")
    return own.items() <= result["options"].items()


def regrets(section: Section) -> dict[str, list[float]]:
    """Each agent's regrets: how far its gains, added up, are below the oracle's of the same seed.

    None at all where no oracle ran with the same options; below 0 where an agent is ahead of it.
    """
    oracles = {
        (run.result["seed"], repr(run.result["options"])): run.result.get("gained")
        for run in section.runs
        if run.result["agent"] == ORACLE
    }
    if not oracles:
        return {}
    found: dict[str, list[float]] = {}
    for name, runs in section.agents.items():
        found[name] = []
        for run in runs:
            best = oracles.get((run.result["seed"], repr(run.result["options"])))
            own = run.result.get("gained")
            if best is not None and own is not None:
                found[name].append(best - own)
    return found
