"""The weights of the other tasks in each task's prior."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtlgym.lookup import lookup
from mtlgym.models.task_rows import ALL, TaskRows

Logits = Float[Tensor, "tasks tasks"]
Weights = Float[Tensor, "tasks tasks"]
Rows = Float[Tensor, "chosen tasks"]


def gumbel(logits: Logits, temperature: Tensor, noise: bool) -> Weights:
    """Each pair is related or not, relaxed: sigmoid((logit + g - g') / temperature).

    g and g' are draws of a Gumbel distribution; without noise, the probability sigmoid(logit) that
    the weight is above 1/2. Weights of a row need not sum to 1.

    Source: Variational Multi-Task Learning (2021), eq. 10, with logit = log pi - log(1 - pi).
    """
    if noise:
        uniform = torch.rand_like(logits).clamp(1e-7, 1 - 1e-7)
        logits = (logits + uniform.logit()) / temperature  # g - g' is logistic
    return logits.sigmoid() * ~_own(logits)


def gumbel_categorical(logits: Logits, temperature: Tensor, noise: bool) -> Weights:
    """One of the other tasks, relaxed: softmax((logits + g) / temperature) over the others.

    Source: the published code of Variational Multi-Task Learning.
    """
    if noise:
        logits = (logits - torch.empty_like(logits).exponential_().log()) / temperature
    return _among_others(logits)


def learnable(logits: Logits, temperature: Tensor, noise: bool) -> Weights:
    """Learnt weights without noise: softmax of the logits over the other tasks.

    Source: Variational Multi-Task Learning (2021), Table 2.
    """
    return _among_others(logits)


def mean(logits: Logits, temperature: Tensor, noise: bool) -> Weights:
    """Equal weights, 1 / (tasks - 1) for every other task; nothing is learnt.

    Source: Variational Multi-Task Learning (2021), Table 2.
    """
    return _among_others(torch.zeros_like(logits))


PRIORS: dict[str, Callable[[Logits, Tensor, bool], Weights]] = {
    "gumbel": gumbel,
    "gumbel_categorical": gumbel_categorical,
    "learnable": learnable,
    "mean": mean,
}


class Relatedness(nn.Module):
    """The matrix A: row t weights the other tasks in task t's prior, and its diagonal is 0.

    Attributes:
        logits: the parameters, a row for each task, (tasks,), 0 at first; the diagonal is unused.
    """

    def __init__(self, tasks: int, prior: str) -> None:
        """Create the parameters for at least 2 tasks; `prior` is a key of `PRIORS`."""
        super().__init__()
        self._weigh = lookup(PRIORS, prior, "prior")
        self.logits = TaskRows(torch.zeros(tasks, tasks), learnt=prior != "mean")

    def forward(self, temperature: Tensor, tasks: slice = ALL) -> Rows:
        """These tasks' rows of A, all drawn anew in training; in evaluation without noise."""
        return self._weigh(self.logits.among_all(tasks), temperature, self.training)[tasks]

    def expected(self) -> Weights:
        """A without noise; for `gumbel`, the probability that two tasks are related."""
        return self._weigh(self.logits(ALL), torch.ones(()), False).detach()


def _own(logits: Tensor) -> Tensor:
    return torch.eye(len(logits), dtype=torch.bool, device=logits.device)


def _among_others(logits: Tensor) -> Tensor:
    return logits.masked_fill(_own(logits), -torch.inf).softmax(dim=1)
