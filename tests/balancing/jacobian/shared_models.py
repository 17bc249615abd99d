"""Small models with a trunk and a head a task, with what makes per-task gradients hard."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mtlgym.models.segnet import SegNet

TASKS = 3


class TwoPart(nn.Module):
    """A trunk and a linear head a task on its output's last axis."""

    def __init__(self, trunk: nn.Module, width: int, tasks: int = TASKS) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleList(nn.Linear(width, 1) for _ in range(tasks))

    def forward(self, x: Tensor) -> list[Tensor]:
        features = self.trunk(x)
        return [head(features) for head in self.heads]


class Recurrent(nn.Module):
    """A GRU whose last state is the output."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(4, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.gru(x)[1][0]


class Repeated(nn.Module):
    """One linear layer that is called three times, and a parameter that no layer owns."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 12)
        self.again = nn.Linear(12, 12)
        self.scale = nn.Parameter(torch.ones(12))
        self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x)
        for _ in range(3):
            hidden = torch.tanh(self.again(hidden)) * self.scale
        return hidden


class Tied(nn.Module):
    """Two linear layers of one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 8)
        self.first = nn.Linear(4, 8)
        self.two.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.two(torch.tanh(self.one(self.first(x))))


def _dense() -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 20),
        nn.BatchNorm1d(20),
        nn.ReLU(inplace=True),
        nn.Dropout(0.2),
        nn.Linear(20, 8, bias=False),
        nn.LayerNorm(8),
        nn.ReLU(inplace=True),
        nn.Linear(8, 6),
    )


def _square(outputs: list[Tensor]) -> Tensor:
    wanted = torch.arange(1, len(outputs) + 1)
    losses = [(out - y).square().mean() for out, y in zip(outputs, wanted, strict=True)]
    return torch.stack(losses)


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "dense": (lambda: TwoPart(_dense(), 6), (10, 4)),
    "recurrent": (lambda: TwoPart(Recurrent(), 6), (5, 7, 4)),
    "repeated": (lambda: TwoPart(Repeated(), 12), (5, 4)),
    "segnet": (lambda: SegNet((2, 1, 3), (4, 6)), (2, 3, 9, 13)),
    "tied": (lambda: TwoPart(Tied(), 8), (5, 4)),
}


def build(name: str, dtype: torch.dtype = torch.float64) -> tuple[Any, Tensor]:
    """The model and an input, the same at every call."""
    make, shape = MODELS[name]
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        return make().to(dtype), torch.randn(shape, dtype=dtype)


def losses(model: nn.Module, x: Tensor) -> Tensor:
    """(tasks,), with dropout from a fixed seed."""
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(1)
        return _square(model(x))


def jacobian(model: nn.Module, x: Tensor, parameters: list[nn.Parameter]) -> Tensor:
    """The plain loop: one row a task, zeros where a parameter has no part in it."""
    values = losses(model, x)
    rows = []
    for value in values:
        grads = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
        parts = zip(parameters, grads, strict=True)
        rows.append(
            torch.cat(
                [torch.zeros_like(p).flatten() if g is None else g.flatten() for p, g in parts]
            )
        )
    return torch.stack(rows)
