"""Figures of agents: in one environment, and over several environments that they share."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mtlgym.presets.published import TablePreset, tables
from mtlgym.report.sections import Section
from mtlgym.report.statistics import (
    STATISTICS,
    Estimate,
    Profile,
    Scores,
    estimate,
    performance_profile,
    probability_of_improvement,
    thresholds,
)
from mtlgym.report.text import listed

ORACLE = "oracle"  # the bandit agent that knows which arm to pull how often
DELTA, TIME, GAIN = "delta_m", "T", "gain"  # columns beside the metrics
SCORE = "score"  # the metric that is a mean over all metrics that count
PROBABILITY = "probability of improvement"


@dataclass(frozen=True)
class Measure:
    """One figure of one agent: a mean over runs.

    Attributes:
        mean: the mean.
        half_width: of the 95 % confidence interval by Student's t; NaN for a single run.
        runs: the number of runs that have the figure.
    """

    mean: float
    half_width: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Measure":
        """The mean of these values, at least one."""
        mean, n = float(np.mean(values)), len(values)
        if n < 2:
            return cls(mean, float("nan"), n)
        return cls(mean, float(stats.t.ppf(0.975, n - 1) * stats.sem(values)), n)

    def __str__(self) -> str:
        """The mean to four significant digits and the half-width to two; 0 for rounding errors."""
        if np.isnan(self.half_width):
            return f"{self.mean:.4g}"
        mean = 0.0 if abs(self.mean) < 1e-9 * self.half_width else self.mean
        width = f"{self.half_width:.0f}" if self.half_width >= 10 else f"{self.half_width:.2g}"
        return f"{mean:.4g} ± {width}"


Measures = dict[str, dict[str, Measure]]  # agent -> column -> measure
Published = Mapping[str, Mapping[str, float]]  # agent -> column -> the paper's figure


def measure_agents(section: Section) -> Measures:
    """Delta_m and improvement in percent, T in times of the reference's, and all metrics.

    Runs that lack a figure are left out of its mean.
    """
    improved = gains(section)
    unit = float(np.mean([run.result["seconds"] for run in section.agents[section.reference]]))
    found: Measures = {}
    for name, runs in section.agents.items():
        values: dict[str, list[Any]] = defaultdict(list)
        for run in runs:
            values[DELTA].append(run.result["delta_m"])
            values[TIME].append(run.result["seconds"] / unit if unit else None)
        values[GAIN].extend(improved[name])
        for run in runs:
            for key, value in run.result["test"].items():
                values[key].append(value)
        known = {key: [x for x in each if x is not None] for key, each in values.items()}
        found[name] = {key: Measure.of(each) for key, each in known.items() if each}
    return found


def columns(found: Measures) -> list[str]:
    """The columns in which an agent has a figure."""
    names = dict.fromkeys(key for figures in found.values() for key in figures)
    first = [key for key in (DELTA, TIME, GAIN) if key in names]
    return [*first, *(key for key in names if key not in first)]


def titles(section: Section, keys: Sequence[str]) -> dict[str, str]:
    """The columns' titles, with units."""
    units = {key: unit for result in section.results for key, unit in result["units"].items()}
    own = {DELTA: "Δm [%]", TIME: "T", GAIN: f"vs {section.reference} [%]"}
    return {k: own.get(k) or (f"{k} [{units[k]}]" if units.get(k) else k) for k in keys}


def gains(section: Section) -> dict[str, list[float | None]]:
    """Each run's improvement over the mean of the reference's runs, in percent; higher is better.

    100 / K sum_k s_k (M_k - R_k) / |R_k| over K metrics of the test split: M_k of the run, R_k the
    reference's mean, s_k = 1 where higher is better, else -1. It is minus Delta_m with the
    reference in place of single-task models. Where results have a mean score over the metrics that
    count, K = 1 and it is of that score. Runs that lack one of the metrics have None.

    Source: Dai et al. (UAI 2023), eq. 5, for Delta_m.
    """
    results = [run.result for run in section.agents[section.reference]]
    reference = {key: _mean(results, key) for key in _metrics(section)}
    usable = {key: value for key, value in reference.items() if value}
    return {
        name: [_improvement(run.result, usable) for run in runs]
        for name, runs in section.agents.items()
    }


def improvements(section: Section) -> dict[str, NDArray[np.float64]]:
    """The known values of `gains`, for each agent that has any."""
    known = {name: [x for x in each if x is not None] for name, each in gains(section).items()}
    return {name: np.array(each, np.float64) for name, each in known.items() if each}


def regrets(section: Section) -> dict[str, list[float]]:
    """Each agent's regrets: the total gain of the oracle minus the agent's, for the same seed.

    Empty if no oracle was run with the same options; a regret is below 0 where the agent gained
    more than the oracle.
    """
    oracles = {
        _bandit_of(run.result): run.result.get("gained")
        for run in section.runs
        if run.result["agent"] == ORACLE
    }
    if not oracles:
        return {}
    found: dict[str, list[float]] = {name: [] for name in section.agents}
    for name, runs in section.agents.items():
        for run in runs:
            best = oracles.get(_bandit_of(run.result))
            own = run.result.get("gained")
            if best is not None and own is not None:
                found[name].append(best - own)
    return found


def _bandit_of(result: Mapping[str, Any]) -> tuple[Any, ...]:
    """The bandit that the run was made on."""
    return result["seed"], result.get("oracle"), repr(result["options"])


def published(section: Section) -> Published:
    """The paper's figures of each agent whose runs are all of one row of a table preset.

    The runs must have the preset's environment, data and options, as `TablePreset.published` wants.
    """
    found = {name: _published([r.result for r in runs]) for name, runs in section.agents.items()}
    return {name: figures for name, figures in found.items() if figures}


def _published(results: Sequence[Mapping[str, Any]]) -> Mapping[str, float]:
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


def _metrics(section: Section) -> list[str]:
    """The metrics that all runs have, that have a direction and that count in scores."""
    results = section.results
    shared = set(results[0]["test"]).intersection(*(result["test"] for result in results))
    if SCORE in shared:
        return [SCORE]
    counted = results[0].get("judged", results[0]["higher_is_better"])
    return [key for key in results[0]["test"] if key in shared and key in counted]


def _mean(results: Sequence[Mapping[str, Any]], key: str) -> float | None:
    known = [r["test"][key] for r in results if r["test"][key] is not None]
    return float(np.mean(known)) if known else None


def _improvement(result: Mapping[str, Any], reference: Mapping[str, float]) -> float | None:
    values = {key: result["test"][key] for key in reference}
    if not values or None in values.values():
        return None
    better = [
        (1 if result["higher_is_better"][key] else -1) * (values[key] - base) / abs(base)
        for key, base in reference.items()
    ]
    return 100 * float(np.mean(better))


@dataclass(frozen=True, eq=False)
class Block:
    """Environments, and the agents that have scores in every one of them.

    Attributes:
        sections: the environments.
        scores: agent -> its runs' scores in each.
        references: the scores of each environment's reference.
    """

    sections: Sequence[Section]
    scores: Mapping[str, Scores]
    references: Scores

    @property
    def title(self) -> str:
        """The environments."""
        return listed(section.env for section in self.sections)

    @property
    def note(self) -> str:
        """A warning about comparisons that the data do not allow; empty if there is none."""
        return next((each.note for each in self.sections if each.note), "")

    @property
    def others(self) -> list[str]:
        """The agents that are not the reference everywhere."""
        return [n for n in self.scores if any(n != each.reference for each in self.sections)]

    @property
    def reference(self) -> str:
        """What the agents are compared with, and where."""
        names = [section.reference for section in self.sections]
        if len(set(names)) == 1:
            return f"the mean of {names[0]} in the same environment"
        each = (f"{section.reference} in {section.env}" for section in self.sections)
        return "the mean of " + listed(each)


@dataclass(frozen=True, eq=False)
class Aggregate:
    """The statistics of one block.

    Attributes:
        block: the environments and the scores.
        statistics: `mean`, `median` or `IQM` -> agent -> estimate, in percent.
        probabilities: agent -> estimate, for those that are not the reference.
        profiles: agent -> profile.
    """

    block: Block
    statistics: Mapping[str, Mapping[str, Estimate]]
    probabilities: Mapping[str, Estimate]
    profiles: Mapping[str, Profile]


def blocks(sections: Sequence[Section]) -> list[Block]:
    """Sets of environments in each of which the same agents can be compared, at least two.

    There is one for every set of environments that is all in which some agent has scores; its
    agents are those that have scores in the whole set.
    """
    scores = [improvements(section) for section in sections]
    names = dict.fromkeys(name for found in scores for name in found)
    places = {name: tuple(i for i, found in enumerate(scores) if name in found) for name in names}
    found = []
    for each in sorted(set(places.values()), key=lambda each: (-len(each), each)):
        agents = [name for name in names if set(each) <= set(places[name])]
        chosen = [sections[i] for i in each]
        references = [scores[i][sections[i].reference] for i in each]
        block = Block(chosen, {a: [scores[i][a] for i in each] for a in agents}, references)
        if len(agents) > 1 and block.others:
            found.append(block)
    return found


def aggregate(block: Block, rng: np.random.Generator) -> Aggregate:
    """The statistics of the block, the best interquartile mean first."""
    statistics = {
        title: {name: estimate(scores, function, rng) for name, scores in block.scores.items()}
        for title, function in STATISTICS.items()
    }
    order = sorted(block.scores, key=lambda name: -statistics["IQM"][name].value)
    tau = thresholds([runs for scores in block.scores.values() for runs in scores])
    return Aggregate(
        block,
        {title: {name: found[name] for name in order} for title, found in statistics.items()},
        {
            name: probability_of_improvement(block.scores[name], block.references, rng)
            for name in order
            if name in block.others
        },
        {name: performance_profile(block.scores[name], tau, rng) for name in order},
    )
