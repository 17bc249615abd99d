"""Small made-up domains: classes are well apart, and each domain shifts them."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mtlgym.datasets.domains.domains import Domains
from mtlgym.datasets.sources import Source
from mtlgym.envs.training.env import TrainingEnv
from mtlgym.models.annealing import Annealing
from mtlgym.models.vmtl import VMTL
from mtlgym.models.vmtl_design import Design
from mtlgym.problems import domains as problem_of
from mtlgym.problems.domains import Measurement, make_splits
from mtlgym.problems.problem import Problem
from mtlgym.problems.scaling import scaling

SOURCE = Source("office_home", "embedded", Path("toy"), "0")
ONES = np.ones(3, np.float32)
SIZE: dict[str, Any] = {"hidden": 8, "latent": 4, "samples": 3}


def domains(tasks=3, classes=4, width=6, each=10, seed=0) -> Domains:
    rng = np.random.default_rng(seed)
    centres = 2 * rng.normal(size=(classes, width))
    labels = np.repeat(np.arange(classes), each)
    features = [
        (centres[labels] + rng.normal(size=width) + 0.5 * rng.normal(size=(len(labels), width)))
        for _ in range(tasks)
    ]
    return Domains(
        tuple(f"domain{t}" for t in range(tasks)),
        tuple(f"class{c}" for c in range(classes)),
        tuple(x.astype(np.float32) for x in features),
        (labels,) * tasks,
    )


def indices(found: Domains, train=4, val=2):
    """The first samples of each class to train on, the next to validate, the others to test."""
    places = [np.arange(len(x)) % (len(x) // len(found.classes)) for x in found.features]
    return {
        "train": tuple(np.flatnonzero(p < train) for p in places),
        "val": tuple(np.flatnonzero((p >= train) & (p < train + val)) for p in places),
        "test": tuple(np.flatnonzero(p >= train + val) for p in places),
    }


def problem(*, attack=(), val=2, attend=False, found=None, annealing=None, **design):
    """A problem of made-up domains."""
    found = found or domains()
    options = {**SIZE, **design}
    measurement = Measurement(attack=attack)
    scale = scaling("none", found.features)
    splits = make_splits(found, indices(found, val=val), scale, attend=attend)
    return Problem(
        name="office_home",
        tasks=found.tasks,
        splits=splits,
        build=partial(VMTL, Design(**options), splits["train"].centres(), annealing or Annealing()),
        losses=problem_of.losses,
        task_loss=problem_of.task_loss,
        measure=partial(problem_of.measure, found.tasks, measurement),
        metrics=tuple(problem_of._metrics(found, measurement)),
        source=SOURCE,
        findings=partial(problem_of.findings, found.width),
    )


def model(name, tasks=3, classes=4, width=6, seed=0, annealing=None, **options) -> Any:
    """A model with parameters from a seed."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(tasks, classes, width, generator=generator)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return VMTL(Design(name, **{**SIZE, **options}), centres, annealing or Annealing())


def batch(tasks=3, classes=4, width=6, each=2, seed=1):
    """Features and labels of as many samples of each class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(classes).repeat(each).expand(tasks, -1).contiguous()
    return torch.randn(tasks, classes * each, width, generator=generator), labels


def env(made=None, **options) -> Any:
    wanted: dict[str, Any] = {
        "actions": "weights",
        "transform": "none",
        "batch_size": 8,
        "steps": 6,
        "validate_steps": 3,
        "lr": 1e-2,
    }
    return TrainingEnv(made or problem(), **{**wanted, **options})


def play(environment, seed=0):
    environment.reset(seed=seed)
    infos, over = [], False
    while not over:
        *_, terminated, truncated, info = environment.step(ONES)
        infos.append(info)
        over = terminated or truncated
    return infos
