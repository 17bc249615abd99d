"""Tuning: the same budget of trials for every agent and method, judged on validation data."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mtlgym import __version__, checks
from mtlgym.bench.runs.adapters import BanditSubject, subject
from mtlgym.bench.runs.backends import signals
from mtlgym.bench.runs.backends.backends import run_cells
from mtlgym.bench.runs.cell import Cell
from mtlgym.bench.runs.execution import PLAIN, Execution
from mtlgym.bench.runs.factory import make
from mtlgym.bench.search_spaces import DECAY, FIXED, LEAST_DECAY, SPAN, Range, Space
from mtlgym.io import checked_json
from mtlgym.io.lock import held
from mtlgym.lookup import lookup


def cells(path: Path, env: str, specs: Sequence[str], seeds: Sequence[int]) -> list[Cell]:
    """Cells of tuned agents, a seed at a time.

    Args:
        path: the file that `tune` gave.
        env: the environment's id.
        specs: those that were tuned, or some of them; all if none are given.
        seeds: one cell a seed.

    Raises:
        ValueError: for a damaged file, one of another environment, or a spec that was not tuned.
        OSError: if it cannot be read.
    """
    found = checked_json.read(path)
    if found.get("env") != env:
        raise ValueError(f"{path} is of {found.get('env')!r}, not of {env!r}")
    methods = found.get("methods")
    if not isinstance(methods, dict) or not methods:
        raise ValueError(f"{path} is no file of `mtlgym tune`: it has no `methods`")
    wanted = {spec: lookup(methods, spec, f"tuned agent in {path}") for spec in specs or methods}
    made = []
    for seed in seeds:
        for spec, chosen in wanted.items():
            told = {"agent": spec, **{key: found[key] for key in ("trials", "seeds", "by")}}
            told |= {key: chosen[key] for key in ("settings", "score")}
            options = {**found["options"], **chosen["options"]}
            made.append(Cell(env, chosen["agent"], seed, options, tuned=told))
    return made


AT_ONCE = 4  # trials that are proposed before the first of them is judged, whatever runs at once
TRIALS, TUNED = "tuning", "tuned"  # folders: of the trials' cells, and of what was chosen


@dataclass(frozen=True)
class Search:
    """What all trials of a search share.

    Attributes:
        env: the environment's id.
        trials: for each agent or method, at least one.
        seeds: a trial is one run a seed; take others than those of the comparison.
        options: what `gym.make` gets; `lr` and `weight_decay` are not searched if they are in it.
    """

    env: str
    trials: int
    seeds: Sequence[int]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a search without trials or seeds."""
        checks.integer("trials", self.trials, least=1)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"`seeds` must be at least one, each once, not {self.seeds!r}")

    def describe(self) -> dict[str, Any]:
        """All that decides what is chosen, in plain values."""
        plain = {**asdict(self), "by": "validation", "version": __version__}
        return json.loads(json.dumps(plain))


def tune(
    search: Search,
    specs: Sequence[str],
    out: Path,
    how: Execution = PLAIN,
    on_tuned: Callable[[str, Mapping[str, Any]], None] = lambda spec, found: None,
) -> Path:
    """Tune each spec; give the file of what was chosen, which `mtlgym.bench.tuning.cells` reads.

    The first trial has the published settings, so that none is worse than these on validation. A
    trial's score is its mean over the seeds. Trials follow from the search and the scores alone and
    are cells of their own, so a search that was cut short goes on where it was.

    Args:
        search: the environment, the budget and the options.
        specs: agents and methods, as `mtlgym.agents.make` takes them; settings in them are kept.
        out: folder for everything.
        how: how the runs are carried out.
        on_tuned: called after each spec with what was chosen.

    Raises:
        ValueError: for an unknown id, agent or option, or if the file is there already and of
            another search, before anything is run; for runs that end before they validate, or a
            spec whose every trial broke down.
        ImportError: without Optuna; says how to get it.
    """
    if not specs:
        raise ValueError("`agents` must name at least one")
    optuna, known = _optuna(), search.describe()
    path = out / TUNED / f"{search.env}.json"
    _known(path, known)
    spaces = {spec: _space(search, spec) for spec in dict.fromkeys(specs)}
    for spec, space in spaces.items():
        found = _search(optuna, search, space, out / TRIALS, how)
        with held(path.parent, signals.obey):  # others may have chosen in the meantime
            checked_json.write(path, {**known, "methods": {**_known(path, known), spec: found}})
        on_tuned(spec, found)
    return path


def _known(path: Path, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What this search has chosen before."""
    found = checked_json.read(path) if path.exists() else {**wanted, "methods": {}}
    methods = found.pop("methods")
    differing = sorted(key for key in wanted if found.get(key) != wanted[key])
    if differing:
        told = "; ".join(f"{k}: {found.get(k)!r} there, {wanted[k]!r} here" for k in differing)
        raise ValueError(f"{path} is of another search ({told}); move or delete it")
    return methods


def _search(
    optuna: ModuleType, search: Search, space: Space, out: Path, how: Execution
) -> dict[str, Any]:
    """The best settings of one spec, and all that were tried."""
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.enqueue_trial(space.start())
    tried: list[dict[str, Any]] = []
    while len(tried) < search.trials:
        asked = [study.ask() for _ in range(min(AT_ONCE, search.trials - len(tried)))]
        chosen = [space.suggest(trial) for trial in asked]
        for trial, settings, mean in zip(
            asked, chosen, _scores(search, space, chosen, out, how), strict=True
        ):
            study.tell(trial, mean)
            tried.append({"settings": settings, "score": mean if math.isfinite(mean) else None})
    if all(each["score"] is None for each in tried):
        raise ValueError(f"every trial of {space.spec!r} broke down, the published settings too")
    best = min(tried, key=lambda each: math.inf if each["score"] is None else each["score"])
    return {
        "agent": space.agent(best["settings"]),
        "options": space.options(best["settings"]),
        "searched": sorted(space.ranges),
        **best,
        "tried": tried,
    }


def _scores(
    search: Search, space: Space, chosen: Sequence[Mapping[str, Any]], out: Path, how: Execution
) -> list[float]:
    """The mean score over the seeds of each of these settings."""
    cells = [
        Cell(
            search.env,
            space.agent(settings),
            seed,
            {**search.options, **space.options(settings)},
            split="val",
        )
        for settings in chosen
        for seed in search.seeds
    ]
    results = run_cells([(cell, cell.folder(out)) for cell in cells], how)
    scores = np.array([score(result) for result in results]).reshape(len(chosen), -1)
    return scores.mean(axis=1).tolist()


def score(result: Mapping[str, Any]) -> float:
    """A run's score on validation data, lower is better; infinite if it broke down.

    It is that of the parameters that validated best, or the negative of a mean that should be high.

    Raises:
        ValueError: for a run that ended before it validated, and so has none.
    """
    if result["failure"]:
        return math.inf
    if result["best_validation_score"] is not None:
        return float(result["best_validation_score"])
    value = result["val"].get("score")
    if value is None:
        raise ValueError(
            f"a run of {result['env']} ended after {result['steps']} steps, before it validated: "
            "a search needs longer ones"
        )
    return -value if result["higher_is_better"]["score"] else value


def _space(search: Search, spec: str) -> Space:
    """What is searched for the spec; that it fits the environment is seen on the way."""
    without = re.sub(rf"^{FIXED}(?=\+|$)", "equal", spec)  # its weights are not known yet
    made, agent = make(Cell(search.env, without, 0, search.options))
    with closing(made):
        wanted = subject(made, agent)
    if isinstance(wanted, BanditSubject):
        return Space(spec, len(wanted.tasks))
    regime = made.router.configuration.trainer_options if hasattr(made, "router") else None
    training = regime or made.configuration.training
    ranges = {
        "lr": Range(training.lr / SPAN, training.lr * SPAN),
        DECAY: Range(LEAST_DECAY, 0.1),
    }
    own = {"lr": training.lr, DECAY: max(training.weight_decay, LEAST_DECAY)}
    free = {key: each for key, each in ranges.items() if key not in search.options}
    return Space(spec, len(wanted.tasks), free, {key: own[key] for key in free})


def _optuna() -> ModuleType:
    try:
        import optuna
    except ImportError as error:
        raise ImportError("tuning needs Optuna: pip install mtlgym[tune]") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
