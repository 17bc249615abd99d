"""From results to tables: means over seeds, with intervals, against the equal-weight run."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from mtlgym.bench.runs.cell import Cell

REFERENCE = "equal"  # the agent whose training time is 1

Results = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Interval:
    """A mean over seeds.

    Attributes:
        mean: the mean.
        half_width: of the 95 % confidence interval by Student's t; NaN for a single seed.
    """

    mean: float
    half_width: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Interval":
        """The mean of these values, at least one."""
        mean, n = float(np.mean(values)), len(values)
        if n < 2:
            return cls(mean, float("nan"))
        return cls(mean, float(stats.t.ppf(0.975, n - 1) * stats.sem(values)))

    def __str__(self) -> str:
        """The mean to four significant digits, and the half-width to two."""
        if np.isnan(self.half_width):
            return f"{self.mean:.4g}"
        width = f"{self.half_width:.0f}" if self.half_width >= 10 else f"{self.half_width:.2g}"
        return f"{self.mean:.4g} ± {width}"


@dataclass(frozen=True)
class Row:
    """One agent, or one row of a published table, in one environment.

    Attributes:
        env: the environment's id.
        agent: the agent.
        seeds: how many runs there are.
        failed: how many of them broke down; their figures count all the same.
        data: `real`, `embedded` or `synthetic`.
        figures: column -> mean and interval; `delta_m` in percent, `T` in training times of the
            equal-weight runs of the same environment, and every metric in its unit.
        label: the published table's row, empty for none.
        tuned: whether its settings were searched for.
    """

    env: str
    agent: str
    seeds: int
    failed: int
    data: str
    figures: dict[str, Interval]
    label: str = ""
    tuned: bool = False

    @property
    def name(self) -> str:
        """What tells it from the other rows of its environment."""
        return f"{self.agent} (tuned)" if self.tuned else self.label or self.agent


def summarise(results: Iterable[dict[str, Any]]) -> list[Row]:
    """A row for each environment and agent or label, the best Delta_m first."""
    environments: dict[str, list[dict[str, Any]]] = defaultdict(list)
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        environments[result["env"]].append(result)
        groups[result["env"], Cell.of(result).name].append(result)
    unit = {env: _unit_of_time(group) for env, group in environments.items()}
    rows = [_row(group, unit[env]) for (env, _), group in groups.items()]
    return sorted(rows, key=lambda row: (row.env, _order(row)))


def _row(group: Results, unit: float | None) -> Row:
    """The row of all results of one environment and agent or label."""
    columns: dict[str, list[float]] = defaultdict(list)
    for result in group:
        if result["delta_m"] is not None:
            columns["delta_m"].append(result["delta_m"])
        if unit is not None:
            columns["T"].append(result["seconds"] / unit)
        for key, value in result["test"].items():
            columns[key].append(math.nan if value is None else value)
    return Row(
        env=group[0]["env"],
        agent=group[0].get("tuned", group[0])["agent"],
        seeds=len(group),
        failed=sum(bool(result["failure"]) for result in group),
        data=group[0]["data"],
        figures={name: Interval.of(values) for name, values in columns.items()},
        label=group[0].get("label", ""),
        tuned="tuned" in group[0],
    )


def _unit_of_time(results: Results) -> float | None:
    """The mean training time of equal weights; None without such a run.

    A labelled run is one of equal weights if it has no option that another run lacks.
    """
    seconds = [
        result["seconds"]
        for result in results
        if result["agent"] == REFERENCE
        and (
            not result.get("label")
            or all(result["options"].items() <= other["options"].items() for other in results)
        )
    ]
    return float(np.mean(seconds)) if seconds else None


def _order(row: Row) -> float:
    return row.figures["delta_m"].mean if "delta_m" in row.figures else math.inf
