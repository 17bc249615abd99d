"""Losses to run the loss methods on, and two of the methods once more through autograd."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtlgym.balancing import LOSS_METHODS
from mtlgym.record import Record

# (losses, epoch) of five steps in three epochs; every method is pinned after the last
RECORDS = [
    ([8.0, 1.0, 2.0], 1),
    ([8.0, 3.0, 2.0], 1),
    ([4.0, 2.0, 1.0], 2),
    ([2.0, 4.0, 3.0], 2),
    ([3.0, 1.0, 4.0], 3),
]


SETTINGS: dict[str, dict[str, Any]] = {"fixed": {"weights": [1, 2, 3]}}


def make(name: str) -> Any:
    return LOSS_METHODS[name](**SETTINGS.get(name, {}))


def records(rows: list[tuple[list[float], int]]) -> Iterator[Record]:
    for step, (losses, epoch) in enumerate(rows):
        yield Record(torch.tensor(losses, dtype=torch.float64), step=step, epoch=epoch)


def run(method: Any, rows: list[tuple[list[float], int]]) -> list[Tensor]:
    """The weights of every step; what a step does to its batch is to halve the first loss."""
    weights = []
    for record in records(rows):
        weights.append(method(record))
        if method.needs_same_batch:
            after = record.losses.clone()
            after[0] /= 2
            method.update(record.losses, after)
    return weights


def softmax(values: list[float]) -> Tensor:
    exponentials = [math.exp(value) for value in values]
    return torch.tensor([e / sum(exponentials) for e in exponentials], dtype=torch.float64)


def reference_uw(rows: list[list[float]], lr: float) -> list[Tensor]:
    """The weights that torch's Adam gives by descending the published objective in s."""
    s = torch.zeros(len(rows[0]), dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([s], lr=lr)
    weights = []
    for row in rows:
        losses = torch.tensor(row, dtype=torch.float64, requires_grad=True)
        adam.zero_grad()
        (torch.exp(-s) * losses / 2 + s / 2).sum().backward()
        assert losses.grad is not None
        weights.append(losses.grad)
        adam.step()
    return weights


def reference_famo(rows: list[list[float]]) -> list[Tensor]:
    """Algorithm 1 through autograd; each step halves the first loss."""
    logits = torch.zeros(len(rows[0]), dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([logits], lr=0.025, weight_decay=1e-3)
    weights = []
    for row in rows:
        losses = torch.tensor(row, dtype=torch.float64, requires_grad=True)
        shares = torch.softmax(logits.detach(), dim=0)
        scale = (shares / losses).sum().detach()
        ((shares * losses.log()).sum() / scale).backward()
        assert losses.grad is not None
        weights.append(losses.grad)
        decline = torch.zeros(len(row), dtype=torch.float64)
        decline[0] = math.log(2)
        adam.zero_grad()
        (torch.softmax(logits, dim=0) * decline).sum().backward()
        adam.step()
    return weights


def random_rows(steps: int, tasks: int = 3, per_epoch: int = 10) -> list[tuple[list[float], int]]:
    losses = np.exp(np.random.default_rng(1).standard_normal((steps, tasks)))
    return [(row.tolist(), 1 + step // per_epoch) for step, row in enumerate(losses)]
