"""The tasks' classifiers: a vector a class, known for certain or as a Gaussian."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from mtlgym.models.gaussian import Gaussian
from mtlgym.models.gaussian_encoder import RHO, SPREAD, Perceptron
from mtlgym.models.task_rows import ALL, TaskRows


class Classifiers(nn.Module):
    """Parameters of its own for each task, without a bias.

    Attributes:
        mean: of each task, (classes, latent).
        rho: of sigma = softplus(rho), in the same shape; None where vectors are certain.
    """

    def __init__(self, tasks: int, classes: int, latent: int, *, spread: bool) -> None:
        """Draw the parameters, as the published code of VMTL does; `spread` for Gaussians."""
        super().__init__()
        self.mean = TaskRows(SPREAD * torch.randn(tasks, classes, latent))
        rho = RHO + SPREAD * torch.randn(tasks, classes, latent) if spread else None
        self.rho = None if rho is None else TaskRows(rho)

    def forward(self, tasks: slice) -> Gaussian:
        """q(w) of all tasks, (tasks, classes, latent); only these tasks' can be learnt from it."""
        mean = self.mean.among_all(tasks)
        if self.rho is None:
            return Gaussian(mean, torch.zeros_like(mean))
        return Gaussian(mean, functional.softplus(self.rho.among_all(tasks)).square())


class AmortisedClassifiers(nn.Module):
    """Classifiers that one perceptron infers from each class's mean features.

    The parameters do not grow with the tasks or the classes, and a class's vector depends on the
    samples of that class alone.

    Source: Variational Multi-Task Learning (2021), section 2.3, eq. 12.
    Differs from its published code in that there is no bias, one hidden layer, and that the mean
    is over all training samples of the class, not a running one over batches.
    """

    def __init__(self, width: int, hidden: int, latent: int) -> None:
        """Build the perceptron, from features of that width."""
        super().__init__()
        self.perceptron = Perceptron(width, hidden, latent, tasks=None, spread=True)

    def forward(self, centres: Float[Tensor, "tasks classes width"]) -> Gaussian:
        """q(w), (tasks, classes, latent), from the means of each class's features."""
        return self.perceptron(centres, ALL)
