"""Parameters of which every task has one of its own, computed on at once."""

import torch
from torch import Tensor, nn

ALL = slice(None)  # the tasks, where all are meant


class TaskRows(nn.Module):
    """A parameter a task, handed out as one tensor.

    A row that was not asked for has no gradient, rather than one of zeros, so that an optimizer
    leaves it, and its moments, alone when another task is trained.

    Attributes:
        rows: the parameters, in the tasks' order.
    """

    def __init__(self, start: Tensor, *, learnt: bool = True) -> None:
        """Start from a tensor (tasks, *shape); without `learnt` it stays as it is."""
        super().__init__()
        self.rows = nn.ParameterList(nn.Parameter(row.clone(), learnt) for row in start)

    def forward(self, tasks: slice) -> Tensor:
        """The rows of these tasks, (chosen, *shape)."""
        return torch.stack(list(self.rows)[tasks])

    def among_all(self, tasks: slice) -> Tensor:
        """All rows, (tasks, *shape); gradients flow into those of these tasks alone."""
        own = range(len(self.rows))[tasks]
        return torch.stack([row if t in own else row.detach() for t, row in enumerate(self.rows)])
