"""From results to tables: means over seeds, with intervals, against the equal-weight run."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from mtlgym.bench.cell import RESULT, read_json

REFERENCE = "equal"  # the agent whose training time is 1


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
    """One agent in one environment.

    Attributes:
        env: the environment's id.
        agent: the agent.
        seeds: how many runs there are.
        failed: how many of them broke down; their figures count all the same.
        data: `real` or `embedded`.
        figures: column -> mean and interval; `delta_m` in percent, `T` in training times of the
            equal-weight runs of the same environment, and every metric in its unit.
    """

    env: str
    agent: str
    seeds: int
    failed: int
    data: str
    figures: dict[str, Interval]


def read_results(folder: Path) -> list[dict[str, Any]]:
    """All finished cells of an environment's folder."""
    return [read_json(path) for path in sorted(folder.glob(f"*/*/{RESULT}"))]


def summarise(results: Iterable[dict[str, Any]]) -> list[Row]:
    """A row for each environment and agent, the best Delta_m first."""
    groups = defaultdict(list)
    for result in results:
        groups[result["env"], result["agent"]].append(result)
    rows = []
    for (env, agent), group in groups.items():
        reference = [result["seconds"] for result in groups.get((env, REFERENCE), [])]
        columns: dict[str, list[float]] = defaultdict(list)
        for result in group:
            if result["delta_m"] is not None:
                columns["delta_m"].append(result["delta_m"])
            if reference:
                columns["T"].append(result["seconds"] / float(np.mean(reference)))
            for key, value in result["test"].items():
                columns[key].append(math.nan if value is None else value)
        rows.append(
            Row(
                env=env,
                agent=agent,
                seeds=len(group),
                failed=sum(bool(result["failure"]) for result in group),
                data=group[0]["data"],
                figures={name: Interval.of(values) for name, values in columns.items()},
            )
        )
    return sorted(rows, key=lambda row: (row.env, _order(row)))


def _order(row: Row) -> float:
    return row.figures["delta_m"].mean if "delta_m" in row.figures else math.inf
