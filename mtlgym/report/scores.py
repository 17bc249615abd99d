"""One score for all environments: how much better a run is than the reference, in percent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.report.sections import Section
from mtlgym.report.statistics import Scores

SCORE = "score"  # the metric that is a mean over all that count


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
    def note(self) -> str:
        """What its figures must not be compared with; empty for nothing."""
        return next((each.note for each in self.sections if each.note), "")

    @property
    def others(self) -> list[str]:
        """The agents that are not the reference everywhere."""
        return [n for n in self.scores if any(n != each.reference for each in self.sections)]


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
    """The improvements that there are, of the agents that have any."""
    known = {name: [x for x in each if x is not None] for name, each in gains(section).items()}
    return {name: np.array(each, np.float64) for name, each in known.items() if each}


def blocks(sections: Sequence[Section]) -> list[Block]:
    """Sets of environments in each of which the same agents can be compared, at least two.

    Every set that some agent has scores in is one, with all agents that have scores throughout it.
    """
    scores = [improvements(section) for section in sections]
    names = dict.fromkeys(name for found in scores for name in found)
    places = {name: tuple(i for i, found in enumerate(scores) if name in found) for name in names}
    sets = sorted(set(places.values()), key=lambda each: (-len(each), each))
    made = []
    for each in sets:
        agents = [name for name in names if set(each) <= set(places[name])]
        chosen = [sections[i] for i in each]
        references = [scores[i][sections[i].reference] for i in each]
        block = Block(chosen, {a: [scores[i][a] for i in each] for a in agents}, references)
        if len(agents) > 1 and block.others:
            made.append(block)
    return made


def _metrics(section: Section) -> list[str]:
    """The metrics that all runs tell of, that have a direction and that count in scores."""
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
