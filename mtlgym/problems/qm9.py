"""Eleven properties of small molecules, by a message-passing network."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from mtlgym import checks
from mtlgym.datasets import qm9
from mtlgym.datasets.qm9 import TASKS, UNITS, MoleculeBatch, Molecules
from mtlgym.metrics import Metric
from mtlgym.models.mpnn import MPNN
from mtlgym.problems.problem import Problem

MEASURED = 500  # molecules in one forward pass of `measure`

# Where errors are published in another unit than the data's: that unit, and how many make one.
PUBLISHED = {"eV": ("meV", 1000.0)}


class MoleculeSplit:
    """One split of the molecules, with the chosen targets as z-scores."""

    def __init__(
        self, molecules: Molecules, indices: NDArray[np.int64], targets: NDArray[np.float32]
    ) -> None:
        """Keep the molecules of these indices; `targets` are those of all molecules."""
        self.sizes: tuple[int, ...] = (len(indices),)
        self._molecules = molecules
        self._indices = indices
        self._targets = torch.from_numpy(targets)

    def batch(self, source: int, indices: NDArray[Any], seed: int) -> MoleculeBatch:
        """The molecules at these positions in the split; `seed` is not used."""
        chosen = self._indices[indices]
        targets = self._targets[torch.from_numpy(chosen)]
        return dataclasses.replace(self._molecules.batch(chosen), y=targets)


def build(
    data: str = "auto", tasks: Sequence[str] = TASKS, dim: int = 64, edge_hidden: int = 128
) -> Problem:
    """QM9 as Dai et al. train it: z-scored targets, mean squared errors, the network of Gilmer.

    Source: Dai et al. (UAI 2023), section 4.1; Gilmer et al. (ICML 2017) for the network.
    Differs from it in that mean and standard deviation are those of the training split alone, and
    in that aromaticity and hybridisation of the atoms are given, which are 0 in the published data.

    Args:
        data: `auto`, `real` or `embedded`.
        tasks: which of the eleven properties, in this order.
        dim: width of the network.
        edge_hidden: width of the edge network's hidden layer.

    Raises:
        ValueError: for an unknown, repeated or missing task, or a width that is not allowed.
    """
    tasks = checks.tasks(tasks, TASKS)
    for name, width in (("dim", dim), ("edge_hidden", edge_hidden)):
        checks.integer(name, width, least=1, most=checks.SIZE)
    molecules, source = qm9.load(data)
    indices = qm9.split(len(molecules))
    targets = molecules.targets[:, [TASKS.index(task) for task in tasks]]
    mean, std = targets[indices["train"]].mean(axis=0), targets[indices["train"]].std(axis=0)
    scores = ((targets - mean) / std).astype(np.float32)
    units = [PUBLISHED.get(UNITS[task], (UNITS[task], 1.0)) for task in tasks]
    return Problem(
        name="qm9",
        tasks=tasks,
        splits={name: MoleculeSplit(molecules, indices[name], scores) for name in indices},
        build=partial(MPNN, len(tasks), dim=int(dim), edge_hidden=int(edge_hidden)),
        losses=losses,
        task_loss=task_loss,
        measure=partial(measure, tasks, std * [factor for _, factor in units]),
        metrics=tuple(Metric(t, "mae", unit) for t, (unit, _) in zip(tasks, units, strict=True)),
        source=source,
    )


def losses(model: nn.Module, batch: MoleculeBatch) -> Float[Tensor, " tasks"]:
    """Each task's mean squared error, in variances of its target."""
    return (model(batch) - batch.y).square().mean(dim=0)


def task_loss(model: nn.Module, batch: MoleculeBatch, task: int) -> Float[Tensor, ""]:
    """One task's mean squared error, in variances of its target."""
    return losses(model, batch)[task]


def measure(
    tasks: tuple[str, ...], units: NDArray[np.float64], model: nn.Module, split: MoleculeSplit
) -> dict[str, float]:
    """Each task's mean absolute error; `units` convert z-scores to the published ones."""
    total = torch.zeros(len(tasks), dtype=torch.float64)
    device = next(model.parameters()).device
    size = split.sizes[0]
    for start in range(0, size, MEASURED):
        batch = split.batch(0, np.arange(start, min(start + MEASURED, size)), 0).to(device)
        total += (model(batch) - batch.y).abs().sum(dim=0).double().cpu()
    errors = total.numpy() / size * units
    return {f"{task}/mae": float(error) for task, error in zip(tasks, errors, strict=True)}
