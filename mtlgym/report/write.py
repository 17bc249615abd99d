"""Writes the report of a folder of runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from mtlgym import __version__
from mtlgym.bench.runs.results import read_finished
from mtlgym.io.atomic import write_atomically
from mtlgym.report import aggregates, csv_files, prose, tables
from mtlgym.report.measures import Measures, measures
from mtlgym.report.plots.figure_files import Picture
from mtlgym.report.plots.gallery import Gallery, gallery
from mtlgym.report.render import render
from mtlgym.report.scores import blocks
from mtlgym.report.sections import Section, sections

INDEX = "index.html"


@dataclass(frozen=True, eq=False)
class Report:
    """All that is on the page and beside it.

    Attributes:
        sections: the environments.
        measures: of each environment.
        aggregates: over environments.
        over: the pictures of each aggregate.
        galleries: the pictures of each environment.
    """

    sections: Sequence[Section]
    measures: Sequence[Measures]
    aggregates: Sequence[aggregates.Aggregate]
    over: Sequence[Sequence[Picture]]
    galleries: Sequence[Gallery]

    @property
    def pictures(self) -> list[Picture]:
        """All pictures."""
        own = [each for drawn in self.galleries for part in drawn.values() for each in part]
        return [picture for drawn in self.over for picture in drawn] + own

    def part(self, name: str) -> list[tuple[Section, list[Picture]]]:
        """The environments that have pictures of that part."""
        pairs = zip(self.sections, self.galleries, strict=True)
        return [(section, drawn[name]) for section, drawn in pairs if drawn[name]]


def write(out: Path, runs: Path, seed: int = 0, now: datetime | None = None) -> Path:
    """Write the page, its tables and its pictures; give the page's path.

    The same runs, seed and time give the same bytes, with the same versions of what draws.

    Args:
        out: the folder to write to; files of an earlier report are replaced.
        runs: the folder that runs are read from, of any environments.
        seed: of the bootstrap.
        now: the time that the page says; the present by default.

    Raises:
        ValueError: if there is no finished run; names the folder.
        OSError: if it cannot be written.
    """
    found = read_finished(runs)
    if not found:
        raise ValueError(
            f"`runs` must be a folder of finished runs, as `mtlgym bench --out` writes it, but "
            f"there is none below {runs}"
        )
    made = collect(sections(found), np.random.default_rng(seed))
    out.mkdir(parents=True, exist_ok=True)
    page = render(context(made, now or datetime.now(UTC)))
    files = {
        "runs.csv": csv_files.runs(made.sections),
        "agents.csv": csv_files.agents(made.sections, made.measures),
        "aggregates.csv": csv_files.aggregates(made.aggregates),
        INDEX: page,
    }
    for picture in made.pictures:
        write_atomically(out / f"{picture.file}.png", picture.png)
    for name, text in files.items():
        write_atomically(out / name, text.encode())
    return out / INDEX


def collect(found: Sequence[Section], rng: np.random.Generator) -> Report:
    """Measure, aggregate and draw."""
    names = dict.fromkeys(section.reference for section in found)
    names |= dict.fromkeys(sorted({name for section in found for name in section.agents}))
    palette = {name: number for number, name in enumerate(names)}
    measured = [measures(section) for section in found]
    over = [aggregates.aggregate(block, rng) for block in blocks(found)]
    return Report(
        found,
        measured,
        over,
        [aggregates.pictures(e, f"aggregate-{i}", palette) for i, e in enumerate(over, start=1)],
        [gallery(s, m, palette) for s, m in zip(found, measured, strict=True)],
    )


def context(made: Report, now: datetime) -> Mapping[str, Any]:
    """What the template is filled in with."""
    pairs = list(zip(made.sections, made.measures, strict=True))
    return {
        "made": now.strftime("%Y-%m-%d %H:%M %Z").strip(),
        "version": __version__,
        "versions": prose.versions(made.sections),
        "overview": prose.overview(made.sections),
        "findings": [
            *(prose.conclusion(each) for each in made.aggregates if len(each.block.sections) > 1),
            *(prose.best(section, measured) for section, measured in pairs),
        ],
        "notes": sorted({section.note for section in made.sections if section.note}),
        "environments": [
            {
                "section": section,
                "table": tables.environment(section, measured),
                "reading": prose.how_to_read(section),
                "failures": prose.failures(section.runs),
            }
            for section, measured in pairs
        ],
        "aggregates": [
            {"found": found, "table": tables.aggregates(found), "pictures": drawn}
            for found, drawn in zip(made.aggregates, made.over, strict=True)
        ],
        "parts": {name: made.part(name) for name in ("curves", "decisions", "routes", "trade-off")},
        "bandits": [
            {"section": section, "table": tables.bandit(section), "pictures": drawn["bandit"]}
            for section, drawn in zip(made.sections, made.galleries, strict=True)
            if section.kind == "bandit"
        ],
        "tuning": tables.tuning(made.sections),
        "settings": prose.settings(made.sections),
    }
