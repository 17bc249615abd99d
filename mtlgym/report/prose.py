"""What a report says in sentences, and the settings that it lists."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mtlgym.bench.runs.results import Finished
from mtlgym.report.aggregates import Aggregate
from mtlgym.report.measures import DELTA, GAIN, Measures
from mtlgym.report.sections import Section
from mtlgym.report.text import counted, listed, number, shown

HOLDS = "; the interval holds 0, so these runs show no difference from the reference"


@dataclass(frozen=True)
class Settings:
    """All that decides the runs of an agent in an environment.

    Attributes:
        title: the agent and the environment.
        note: what its figures must not be compared with; empty for nothing.
        facts: name -> value.
    """

    title: str
    note: str
    facts: dict[str, str]


def overview(sections: Sequence[Section]) -> str:
    """How many runs there are, of what, and how many of them broke down."""
    results = [result for section in sections for result in section.results]
    agents = {name for section in sections for name in section.agents}
    failed = sum(bool(result["failure"]) for result in results)
    fewest = min(len(runs) for section in sections for runs in section.agents.values())
    most = max(section.seeds for section in sections)
    seeds = counted(most, "seed") if fewest == most else f"{fewest} to {most} seeds"
    repeated = sum(section.repeated for section in sections)
    again = f" {counted(repeated, 'run')} from a seed that had a run is left out." * bool(repeated)
    return (
        f"{counted(len(results), 'run')} of {counted(len(agents), 'agent')} in "
        f"{counted(len(sections), 'environment')}, from {seeds} each; "
        f"{failed or 'none'} broke down.{again}"
    )


def best(section: Section, found: Measures) -> str:
    """Which agent has the best mean in an environment, beside the reference."""
    for key, sign, what in ((DELTA, 1, "lowest mean Δm"), (GAIN, -1, "largest improvement")):
        known = {name: each[key].interval for name, each in found.items() if key in each}
        if known and len(found) > 1:
            first = min(known, key=lambda name: sign * known[name].mean)
            if key == GAIN and first == section.reference:
                return f"{section.title}: no agent improves on {first} in the mean."
            text = f"{section.title}: {first} has the {what}, {shown(known[first])} %"
            if key == GAIN:
                holds = known[first].mean <= known[first].half_width
                return f"{text} over {section.reference}{HOLDS if holds else ''}."
            if first != section.reference and section.reference in known:
                text += f"; {section.reference} has {shown(known[section.reference])} %"
            return text + "."
    return f"{section.title}: {listed(found)}, with nothing to compare it with."


def conclusion(found: Aggregate) -> str:
    """Which agent has the best interquartile mean, and whether its interval holds the reference."""
    name, value = next(iter(found.statistics["IQM"].items()))
    text = (
        f"Over {found.title}: {name} has the largest interquartile mean of the improvement over "
        f"{found.reference}, {number(value.value)} %"
    )
    if value.low != value.low:
        return f"{text}; one run in an environment gives no interval."
    ends = f"95 % interval {number(value.low)} to {number(value.high)} %"
    if value.low <= 0 <= value.high and name in found.probabilities:
        return f"{text} ({ends}){HOLDS}."
    return f"{text} ({ends})."


def failures(runs: Iterable[Finished]) -> list[str]:
    """What each run that broke down says of it."""
    return [
        f"{run.name}, seed {run.result['seed']}: {run.result['failure']}"
        for run in runs
        if run.result["failure"]
    ]


def how_to_read(section: Section) -> str:
    """What the columns of the environment's table are."""
    baselines = sorted({each["baseline"] for each in section.results if each["baseline"]})
    against = f"single-task models ({'; '.join(baselines)})"
    delta = f"Δm: the mean drop against {against}, in percent. " if baselines else ""
    spread = (
        "Mean ± half of the 95 % interval over seeds, by Student's t. "
        if section.seeds > 1
        else "One run an agent: there are no intervals. "
    )
    return (
        f"{spread}{delta}T: training time, {section.reference} = 1. "
        f"vs {section.reference}: improvement over the mean of its runs, in percent."
    )


def settings(sections: Sequence[Section]) -> list[Settings]:
    """All that decides the runs, an agent and environment at a time."""
    return [_settings(section, name) for section in sections for name in section.agents]


def versions(sections: Sequence[Section]) -> dict[str, str]:
    """Package -> the versions of it that runs were made with."""
    found: dict[str, dict[str, None]] = {}
    for section in sections:
        for result in section.results:
            for package, version in result["versions"].items():
                found.setdefault(package, {})[version] = None
    return {package: ", ".join(each) for package, each in found.items()}


def _settings(section: Section, name: str) -> Settings:
    results = [run.result for run in section.agents[name]]
    first, tuned = results[0], results[0].get("tuned")
    facts = {
        "agent": first["agent"],
        "label": first.get("label", ""),
        "fitted on the decisions of": first.get("log_of", ""),
        "seeds": ", ".join(str(result["seed"]) for result in results),
        "steps": _values(result["steps"] for result in results),
        "tasks": ", ".join(first["tasks"]),
        "options": ", ".join(f"{k} = {json.dumps(v)}" for k, v in first["options"].items()),
        "tuning": f"{tuned['trials']} trials by {tuned['by']}" if tuned else "untuned",
        "data": first["data"],
        "SHA-256 of the data": _values(result["data_sha256"] for result in results),
        "Δm against": first["baseline"] or "",
        "broke down": "; ".join(failures(section.agents[name])),
        "seconds": ", ".join(f"{result['seconds']:.1f}" for result in results),
        "versions": _values(
            ", ".join(f"{k} {v}" for k, v in result["versions"].items()) for result in results
        ),
    }
    shown = {key: value for key, value in facts.items() if value}
    return Settings(f"{name} in {section.title}", section.note, shown)


def _values(values: Iterable[object]) -> str:
    """The values without repetitions."""
    return "; ".join(dict.fromkeys(str(value) for value in values))
