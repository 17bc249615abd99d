"""The report's numbers as CSV: of runs, of agents, and over environments."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from mtlgym.report.aggregates import PROBABILITY, Aggregate
from mtlgym.report.measures import DELTA, GAIN, Measures, columns
from mtlgym.report.scores import gains
from mtlgym.report.sections import Section
from mtlgym.report.statistics import Estimate
from mtlgym.report.text import in_spreadsheet

Line = Sequence[object]


def runs(sections: Sequence[Section]) -> str:
    """A row a run: what it is, what it took, and every metric of the test split."""
    keys = list(dict.fromkeys(k for each in sections for r in each.results for k in r["test"]))
    start = ["env", "data", "note", "stand in for", "name", "agent", "seed", "tuned trials"]
    told = ["failure", "steps", "seconds", DELTA]
    lines = []
    for section in sections:
        better = [gain for each in gains(section).values() for gain in each]
        for run, gain in zip(section.runs, better, strict=True):
            result = run.result
            trials = result["tuned"]["trials"] if result.get("tuned") else 0
            line = [*_who(section), run.name, result["agent"], result["seed"], trials]
            line += [*(result[key] for key in told), gain]
            lines.append(line + [result["test"].get(key) for key in keys])
    return _written([*start, *told, GAIN, *keys], lines)


def agents(sections: Sequence[Section], found: Sequence[Measures]) -> str:
    """A row an agent and environment: means, ends of the 95 % intervals, runs that have it."""
    keys = list(dict.fromkeys(key for each in found for key in columns(each)))
    start = ["env", "data", "note", "stand in for", "name", "reference", "runs", "failed"]
    heads = [f"{key}{end}" for key in keys for end in ("", " low", " high", " runs")]
    lines = []
    for section, measures in zip(sections, found, strict=True):
        for name, each in section.agents.items():
            failed = sum(bool(run.result["failure"]) for run in each)
            line = [*_who(section), name, section.reference, len(each), failed]
            for key in keys:
                measure = measures[name].get(key)
                if measure is None:
                    line += ["", "", "", 0]
                    continue
                middle, width = measure.interval.mean, measure.interval.half_width
                line += [middle, middle - width, middle + width, measure.runs]
            lines.append(line)
    return _written([*start, *heads], lines)


def aggregates(found: Sequence[Aggregate]) -> str:
    """A row an agent and statistic, over environments, with the ends of its 95 % interval."""
    heads = ["environments", "note", "name", "statistic", "value", "low", "high", "runs"]
    lines: list[Line] = []
    for each in found:
        start = [" ".join(section.slug for section in each.block.sections), each.block.note]
        statistics: Mapping[str, Mapping[str, Estimate]] = {
            **each.statistics,
            PROBABILITY: each.probabilities,
        }
        for title, estimates in statistics.items():
            for name, value in estimates.items():
                count = sum(len(runs) for runs in each.block.scores[name])
                line = [*start, name, title, value.value, value.low, value.high, count]
                lines.append(line)
    return _written(heads, lines)


def _who(section: Section) -> list[object]:
    return [section.env, section.data, section.note, section.stand_in_for]


def _written(heads: Line, lines: Iterable[Line]) -> str:
    """The lines below their heads; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_cell(head) for head in heads])
    writer.writerows([_cell(value) for value in line] for line in lines)
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str):
        return in_spreadsheet(value)
    return "" if value is None or value != value else value
