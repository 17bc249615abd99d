"""What agents come to over environments: statistics with intervals, and their pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mtlgym.report.plots import comparisons
from mtlgym.report.plots.curves import Palette
from mtlgym.report.plots.figure_files import Picture, draw
from mtlgym.report.scores import Block
from mtlgym.report.statistics import (
    DRAWS,
    STATISTICS,
    Estimate,
    Profile,
    estimate,
    performance_profile,
    probability_of_improvement,
)
from mtlgym.report.text import counted, listed

SCORE = "improvement over the reference [%]"
PROBABILITY = "probability of improvement"


@dataclass(frozen=True, eq=False)
class Aggregate:
    """The statistics of one block.

    Attributes:
        block: the environments and the scores.
        statistics: `mean`, `median` or `IQM` -> agent -> estimate, in percent.
        probabilities: agent -> estimate, of those that are not the reference.
        profiles: agent -> profile.
    """

    block: Block
    statistics: Mapping[str, Mapping[str, Estimate]]
    probabilities: Mapping[str, Estimate]
    profiles: Mapping[str, Profile]

    @property
    def title(self) -> str:
        """The environments."""
        return listed(section.env for section in self.block.sections)

    @property
    def reference(self) -> str:
        """What the agents are compared with, and where."""
        names = [section.reference for section in self.block.sections]
        if len(set(names)) == 1:
            return f"the mean of {names[0]} in the same environment"
        each = (f"{section.reference} in {section.env}" for section in self.block.sections)
        return "the mean of " + listed(each)


def aggregate(block: Block, rng: np.random.Generator) -> Aggregate:
    """The statistics of the block, the best interquartile mean first."""
    statistics = {
        title: {name: estimate(scores, function, rng) for name, scores in block.scores.items()}
        for title, function in STATISTICS.items()
    }
    order = sorted(block.scores, key=lambda name: -statistics["IQM"][name].value)
    every = [runs.tolist() for scores in block.scores.values() for runs in scores]
    tau = comparisons.thresholds(every)
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


def pictures(found: Aggregate, file: str, palette: Palette) -> Sequence[Picture]:
    """Statistics, profiles and probabilities; each begins with the file's name."""
    names, note = listed(found.profiles), found.block.note
    count = len(found.block.sections)
    where = "in one environment" if count == 1 else f"over {counted(count, 'environment')}"
    bars = "Bars are 95 % intervals by stratified bootstrap"
    return [
        draw(
            lambda: comparisons.forest(found.statistics, palette, SCORE),
            f"{file}-statistics",
            f"Mean, median and interquartile mean {where}",
            f"{bars}, {DRAWS} draws. 0 is the reference; higher is better.",
            f"Mean, median and interquartile mean of the improvement over the reference of {names} "
            f"{where}: {found.title}. The table has the numbers.",
            note,
        ),
        draw(
            lambda: comparisons.profiles(found.profiles, palette, SCORE),
            f"{file}-profiles",
            f"Performance profiles {where}",
            "The share of runs whose score is above the threshold; a line that is higher is "
            "better. Bands are pointwise 95 % intervals.",
            f"Performance profiles of {names} {where}: {found.title}. The share of runs above each "
            "improvement.",
            note,
        ),
        draw(
            lambda: comparisons.probabilities(
                found.probabilities, palette, f"{PROBABILITY} over the reference"
            ),
            f"{file}-improvement",
            f"Probability of improvement over the reference {where}",
            f"How likely a run is better than a run of the reference. {bars}; 1/2 is no "
            "difference.",
            f"Probability that a run of {listed(found.probabilities)} is better than one of the "
            f"reference, {where}: {found.title}. The table has the numbers.",
            note,
        ),
    ]
