"""A linear layer a task, computed at once."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtlgym.models.task_rows import TaskRows


class StackedLinear(nn.Module):
    """Linear layers of equal form side by side, initialised as torch's own are.

    Attributes:
        weight: of each task, (inputs, outputs).
        bias: of each task, (1, outputs).
    """

    def __init__(self, tasks: int, inputs: int, outputs: int) -> None:
        """Draw the parameters evenly from [-1 / sqrt(inputs), 1 / sqrt(inputs)]."""
        super().__init__()
        bound = inputs**-0.5
        self.weight = TaskRows(torch.empty(tasks, inputs, outputs).uniform_(-bound, bound))
        self.bias = TaskRows(torch.empty(tasks, 1, outputs).uniform_(-bound, bound))

    def forward(
        self, x: Float[Tensor, "chosen samples inputs"], tasks: slice
    ) -> Float[Tensor, "chosen samples outputs"]:
        """Each task's samples through its own layer; `tasks` says which tasks these are."""
        return torch.baddbmm(self.bias(tasks), x, self.weight(tasks))
