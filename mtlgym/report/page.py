"""The page of `mtlgym report`: its figures, tables and sentences, and the files beside it."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from mtlgym import __version__
from mtlgym.bench.runs.results import Finished, read_finished
from mtlgym.io.atomic import write_atomically
from mtlgym.report import tables
from mtlgym.report.measures import (
    DELTA,
    GAIN,
    Aggregate,
    Measures,
    aggregate,
    blocks,
    measure_agents,
)
from mtlgym.report.plots.gallery import Gallery, aggregate_figures, gallery
from mtlgym.report.plots.style import PageFigure, palette_of
from mtlgym.report.sections import Section, group_runs
from mtlgym.report.text import clean, counted, listed, number

INDEX = "index.html"
NO_DIFFERENCE = "; the interval includes 0, so these runs show no difference from the reference"


@dataclass(frozen=True, eq=False)
class Contents:
    """The numbers and figures of the page and of the files beside it.

    Attributes:
        sections: the environments.
        measures: the figures of each environment's agents.
        galleries: the drawn figures of each environment.
        aggregates: statistics over environments.
        drawn: the drawn figures of each aggregate.
    """

    sections: Sequence[Section]
    measures: Sequence[Measures]
    galleries: Sequence[Gallery]
    aggregates: Sequence[Aggregate]
    drawn: Sequence[Sequence[PageFigure]]

    @classmethod
    def of(cls, found: Sequence[Section], rng: np.random.Generator) -> "Contents":
        """Measure, aggregate and draw; an agent has the same colour in all figures."""
        names = dict.fromkeys(section.reference for section in found)
        names |= dict.fromkeys(sorted({name for section in found for name in section.agents}))
        palette = palette_of(list(names))
        measured = [measure_agents(section) for section in found]
        over = [aggregate(block, rng) for block in blocks(found)]
        return cls(
            found,
            measured,
            [gallery(s, m, palette) for s, m in zip(found, measured, strict=True)],
            over,
            [aggregate_figures(e, f"aggregate-{i}", palette) for i, e in enumerate(over, start=1)],
        )

    @property
    def figures(self) -> list[PageFigure]:
        """All figures."""
        own = [each for drawn in self.galleries for part in drawn.values() for each in part]
        return [each for drawn in self.drawn for each in drawn] + own

    def part(self, name: str) -> list[tuple[Section, list[PageFigure]]]:
        """The environments that have figures in that part of the page."""
        pairs = zip(self.sections, self.galleries, strict=True)
        return [(section, drawn[name]) for section, drawn in pairs if drawn[name]]


def write_page(out: Path, runs: Path, seed: int = 0, now: datetime | None = None) -> Path:
    """Write the page, its tables and its figures; return the page's path.

    The same runs, seed and time give the same bytes, with the same versions of the libraries.

    Args:
        out: the folder to write to; files of an earlier report are replaced.
        runs: the folder with the runs, of any environments.
        seed: seed of the bootstrap.
        now: the time that stands on the page; the present by default.

    Raises:
        ValueError: if there is no finished run; names the folder.
        OSError: if a file cannot be written.
    """
    finished = read_finished(runs)
    if not finished:
        raise ValueError(
            f"`runs` must be a folder of finished runs, as `mtlgym bench --out` writes it, but "
            f"there is none below {runs}"
        )
    contents = Contents.of(group_runs(finished), np.random.default_rng(seed))
    files = {
        "runs.csv": tables.runs_csv(contents.sections),
        "agents.csv": tables.agents_csv(contents.sections, contents.measures),
        "aggregates.csv": tables.aggregates_csv(contents.aggregates),
        INDEX: render(context(contents, now or datetime.now(UTC))),
    }
    out.mkdir(parents=True, exist_ok=True)
    for figure in contents.figures:
        write_atomically(out / f"{figure.file}.png", figure.png)
    for name, text in files.items():
        write_atomically(out / name, text.encode())
    return out / INDEX


def render(values: Mapping[str, Any]) -> str:
    """The whole page, in which all texts are escaped.

    The content security policy in its head allows only its own style and script, by their digests,
    and images that are on it.
    """
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(_read),
        undefined=StrictUndefined,
        finalize=clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _read("page.css"), _read("page.js")
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
        f"style-src 'sha256-{_digest(style)}'; script-src 'sha256-{_digest(script)}'"
    )
    # Both are files of this package, so they need no escaping.
    own = {"style": Markup(style), "script": Markup(script), "policy": Markup(policy)}
    return environment.get_template("page.jinja").render({**values, **own})


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def context(contents: Contents, now: datetime) -> Mapping[str, Any]:
    """The values of the template."""
    pairs = list(zip(contents.sections, contents.measures, strict=True))
    over = contents.aggregates
    return {
        "made": now.strftime("%Y-%m-%d %H:%M %Z").strip(),
        "version": __version__,
        "versions": versions(contents.sections),
        "overview": overview(contents.sections),
        "findings": [
            *(conclusion(each) for each in over if len(each.block.sections) > 1),
            *(best(section, measured) for section, measured in pairs),
        ],
        "notes": sorted({section.note for section in contents.sections if section.note}),
        "environments": [
            {
                "section": section,
                "table": tables.environment(section, measured),
                "reading": how_to_read(section),
                "failures": failures(section.runs),
            }
            for section, measured in pairs
        ],
        "aggregates": [
            {"block": found.block, "table": tables.aggregates(found), "figures": drawn}
            for found, drawn in zip(over, contents.drawn, strict=True)
        ],
        "parts": {
            name: contents.part(name) for name in ("curves", "decisions", "routes", "trade-off")
        },
        "bandits": [
            {"section": section, "table": tables.bandit(section), "figures": drawn["bandit"]}
            for section, drawn in zip(contents.sections, contents.galleries, strict=True)
            if section.kind == "bandit"
        ],
        "tuning": tables.tuning(contents.sections),
        "settings": [
            {
                "title": f"{name} in {section.title}",
                "note": section.note,
                "facts": settings(section.agents[name]),
            }
            for section in contents.sections
            for name in section.agents
        ],
    }


def overview(sections: Sequence[Section]) -> str:
    """The numbers of runs, agents, environments, seeds and failures."""
    results = [result for section in sections for result in section.results]
    agents = {name for section in sections for name in section.agents}
    failed = sum(bool(result["failure"]) for result in results)
    fewest = min(len(runs) for section in sections for runs in section.agents.values())
    most = max(section.seeds for section in sections)
    seeds = counted(most, "seed") if fewest == most else f"{fewest} to {most} seeds"
    repeated = sum(section.repeated for section in sections)
    left_out = f" {counted(repeated, 'run')} from a seed that had a run is left out."
    return (
        f"{counted(len(results), 'run')} of {counted(len(agents), 'agent')} in "
        f"{counted(len(sections), 'environment')}, from {seeds} each; "
        f"{failed or 'none'} failed.{left_out * bool(repeated)}"
    )


def best(section: Section, found: Measures) -> str:
    """The agent with the best mean in an environment, beside the reference."""
    for key, sign, what in ((DELTA, 1, "lowest mean Δm"), (GAIN, -1, "largest improvement")):
        known = {name: each[key] for name, each in found.items() if key in each}
        if known and len(found) > 1:
            first = min(known, key=lambda name: sign * known[name].mean)
            if key == GAIN and first == section.reference:
                return f"{section.title}: no agent improves on {first} in the mean."
            text = f"{section.title}: {first} has the {what}, {known[first]} %"
            if key == GAIN:
                includes_0 = known[first].mean <= known[first].half_width
                return f"{text} over {section.reference}{NO_DIFFERENCE if includes_0 else ''}."
            if first != section.reference and section.reference in known:
                text += f"; {section.reference} has {known[section.reference]} %"
            return text + "."
    return f"{section.title}: {listed(found)}, with nothing to compare it with."


def conclusion(found: Aggregate) -> str:
    """The agent with the best interquartile mean, and whether its interval includes 0."""
    name, value = next(iter(found.statistics["IQM"].items()))
    text = (
        f"Over {found.block.title}: {name} has the largest interquartile mean of the improvement "
        f"over {found.block.reference}, {number(value.value)} %"
    )
    if value.low != value.low:
        return f"{text}; one run in an environment gives no interval."
    ends = f"95 % interval {number(value.low)} to {number(value.high)} %"
    if value.low <= 0 <= value.high and name in found.probabilities:
        return f"{text} ({ends}){NO_DIFFERENCE}."
    return f"{text} ({ends})."


def failures(runs: Iterable[Finished]) -> list[str]:
    """A line for each run that failed."""
    return [
        f"{run.name}, seed {run.seed}: {run.result['failure']}"
        for run in runs
        if run.result["failure"]
    ]


def how_to_read(section: Section) -> str:
    """An explanation of the columns of the environment's table."""
    baselines = sorted({each["baseline"] for each in section.results if each["baseline"]})
    against = f"single-task models ({'; '.join(baselines)})"
    delta = f"Δm: the mean drop against {against}, in percent. " if baselines else ""
    spread = (
        "Mean ± half of the 95 % interval over seeds, by Student's t. "
        if section.seeds > 1
        else "Each agent has one run, so there are no intervals. "
    )
    return (
        f"{spread}{delta}T: training time, {section.reference} = 1. "
        f"vs {section.reference}: improvement over the mean of its runs, in percent."
    )


def versions(sections: Sequence[Section]) -> dict[str, str]:
    """Package -> the versions of it that the runs used."""
    found: dict[str, dict[str, None]] = {}
    for section in sections:
        for result in section.results:
            for package, version in result["versions"].items():
                found.setdefault(package, {})[version] = None
    return {package: ", ".join(each) for package, each in found.items()}


def settings(runs: Sequence[Finished]) -> dict[str, str]:
    """All settings of an agent's runs in one environment, with their data and versions."""
    results = [run.result for run in runs]
    first, tuned = results[0], results[0].get("tuned")
    facts = {
        "agent": first["agent"],
        "label": first.get("label", ""),
        "fitted on the decisions of": first.get("log_of", ""),
        "seeds": ", ".join(str(result["seed"]) for result in results),
        "steps": _distinct(result["steps"] for result in results),
        "tasks": ", ".join(first["tasks"]),
        "options": ", ".join(f"{k} = {json.dumps(v)}" for k, v in first["options"].items()),
        "tuning": f"{tuned['trials']} trials by {tuned['by']}" if tuned else "untuned",
        "data": first["data"],
        "SHA-256 of the data": _distinct(result["data_sha256"] for result in results),
        "Δm against": first["baseline"] or "",
        "failed": "; ".join(failures(runs)),
        "seconds": ", ".join(f"{result['seconds']:.1f}" for result in results),
        "versions": _distinct(
            ", ".join(f"{k} {v}" for k, v in result["versions"].items()) for result in results
        ),
    }
    return {key: value for key, value in facts.items() if value}


def _distinct(values: Iterable[object]) -> str:
    """The values without repetitions."""
    return "; ".join(dict.fromkeys(str(value) for value in values))
