"""Folders of runs for reports, written as benches write them, in no time."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from mtlgym.bench.runs.cell import CELLS, LOG, RESULT
from mtlgym.bench.runs.results import Finished
from mtlgym.io import checked_json
from mtlgym.report.sections import group_runs

EVIL = "<script>alert(1)</script> $\\frac$ \"'&_"
VERSIONS = {"mtlgym": "0.1.0", "torch": "2.13.0"}
TASKS = {"training": ["depth", "normal"], "bandit": ["0", "1", "2"], "routing": ["cats", "dogs"]}
ENVS = {"training": "MTL-Rooms-v0", "bandit": "MTL-Bandit-v0", "routing": "MTL-Emoji-Routing-v0"}


def result(agent, seed, kind="training", **others):
    """A result; an agent's quality is its name's length, a run's that and its seed."""
    quality = 1.0 + 0.1 * len(agent) + 0.02 * seed
    tasks = TASKS[kind]
    found: dict[str, Any] = {
        "env": ENVS[kind],
        "kind": kind,
        "agent": agent,
        "seed": seed,
        "options": {"epochs": 3},
        "tasks": tasks,
        "data": "synthetic" if kind == "bandit" else "embedded",
        "data_sha256": "" if kind == "bandit" else "ab" * 32,
        "best_validation_score": None,
        "delta_m": 10 / quality if kind == "training" else None,
        "baseline": "single-task models" if kind == "training" else None,
        "failure": "",
        "steps": 30,
        "practice": 0,
        "seconds": 5.0 * quality,
        "versions": VERSIONS,
        **FIGURES[kind](quality),
    }
    return found | others


def _training(quality):
    return {
        "test": {"depth/abs_err": 2.0 / quality, "normal/within_30": 0.1 * quality},
        "units": {"depth/abs_err": "m", "normal/within_30": ""},
        "higher_is_better": {"depth/abs_err": False, "normal/within_30": True},
    }


def _bandit(quality):
    return {
        "test": {"score": 0.3 * quality},
        "units": {"score": ""},
        "higher_is_better": {"score": True},
    }


def _routing(quality):
    test = {"score": 30 * quality, "cats/accuracy": 31 * quality, "dogs/accuracy": 29 * quality}
    return {
        "test": test,
        "units": dict.fromkeys(test, "%"),
        "higher_is_better": dict.fromkeys(test, True),
        "architecture": "routing-all-fc",
        "routes": np.full((2, 3, 4), 0.25).tolist(),
    }


FIGURES = {"training": _training, "bandit": _bandit, "routing": _routing}


def log(result, rows=6):
    """Rows of a run's log."""
    tasks, rng = len(result["tasks"]), np.random.default_rng(result["seed"])
    return [
        {
            "epoch": row,
            "step": 5 * (row + 1),
            "losses": (np.arange(1, tasks + 1) / (row + 1)).tolist(),
            "weights": rng.dirichlet(np.ones(tasks)).tolist(),
            "reward": 0.1,
            "score": 1.0 / (row + 1) + 0.1 * rng.random(),
            "failure": "",
        }
        for row in range(rows)
    ]


def write(out, results, rows=6):
    """The runs in a folder; `rows` of each log, or how many of the result's."""
    for index, each in enumerate(results):
        folder = out / each["env"] / CELLS / f"{index:04}"
        folder.mkdir(parents=True)
        count = rows(each) if callable(rows) else rows
        text = "".join(json.dumps(row) + "\n" for row in log(each, count))
        (folder / LOG).write_text(text)
        seal = hashlib.sha256(text.encode()).hexdigest()
        checked_json.write(folder / RESULT, {**each, "log_sha256": seal})
    return out


def many(seeds=3):
    """Results of all kinds of environments, one run that broke down, and a label of ill will."""
    found = [result(agent, seed) for agent in ("equal", "uw", "igbv1") for seed in range(seeds)]
    found += [result("dwa", seed, label=EVIL) for seed in range(seeds)]
    failed: dict[str, Any] = {"failure": "loss of task 'depth' is not finite", "delta_m": None}
    failed["test"] = {"depth/abs_err": None, "normal/within_30": 0.01}
    found.append(result("uw", seeds, **failed))
    found += [
        result(agent, seed, "bandit") for agent in ("uniform", "exp3s") for seed in range(seeds)
    ]
    found += [
        result(agent, seed, "routing") for agent in ("wpl", "uniform") for seed in range(seeds)
    ]
    tuned = {"agent": "igbv2", "settings": {"lr": 0.001}, "trials": 8, "by": "validation"}
    found += [result("igbv2:lr=0.001", seed, tuned=tuned) for seed in range(seeds)]
    return found


def finished(*results):
    return [Finished(each, Path(), each.get("label") or each["agent"]) for each in results]


def sectioned(*results):
    return group_runs(finished(*results))


def runs_of(agents, seeds=2, kind="training", **others):
    return [result(a, s, kind, **others) for a in agents for s in range(seeds)]


def entries(table):
    """Text and small print by row and column."""
    heads = [column.title.replace("\N{NO-BREAK SPACE}", " ") for column in table.columns]
    return {row[0].text: dict(zip(heads, row, strict=True)) for row in table.rows}
