"""From features to Gaussians: the amortised posteriors of variational multi-task learning."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from mtlgym.models.gaussian import Gaussian, precise, through
from mtlgym.models.task_rows import TaskRows

RHO = -3.0  # initial rho, with sigma = softplus(rho)
SPREAD = 0.1  # initial standard deviation of means and rhos

Features = Float[Tensor, "chosen samples width"]


class StackedLinear(nn.Module):
    """One linear layer for each task, all of equal sizes, initialised as torch's own are.

    Attributes:
        weight: of each task, (inputs, outputs).
        bias: of each task, (1, outputs).
    """

    def __init__(self, tasks: int, inputs: int, outputs: int) -> None:
        """Draw the parameters uniformly from [-1 / sqrt(inputs), 1 / sqrt(inputs)]."""
        super().__init__()
        bound = inputs**-0.5
        self.weight = TaskRows(torch.empty(tasks, inputs, outputs).uniform_(-bound, bound))
        self.bias = TaskRows(torch.empty(tasks, 1, outputs).uniform_(-bound, bound))

    def forward(
        self, x: Float[Tensor, "chosen samples inputs"], tasks: slice
    ) -> Float[Tensor, "chosen samples outputs"]:
        """Each task's samples through its own layer; `tasks` are the tasks' indices."""
        return torch.baddbmm(self.bias(tasks), x, self.weight(tasks))


class Perceptron(nn.Module):
    """One hidden layer, then the mean and rho of each latent number; sigma = softplus(rho).

    Source: Variational Multi-Task Learning (2021), sections 2.3 and 4.2; the
    number of layers and of their units is not given there.
    """

    def __init__(
        self, width: int, hidden: int, latent: int, *, tasks: int | None, spread: bool
    ) -> None:
        """Build the layers.

        Args:
            width: of the features.
            hidden: units of the hidden layer.
            latent: number of latent variables.
            tasks: how many have layers of their own; None for shared layers.
            spread: whether there is a variance; without it the outputs are points.
        """
        super().__init__()
        self.first = _linear(tasks, width, hidden)
        self.mean = _linear(tasks, hidden, latent)
        self.rho = _linear(tasks, hidden, latent) if spread else None
        if self.rho is not None:
            bias = self.rho.bias
            for each in bias.rows if isinstance(bias, TaskRows) else [bias]:
                nn.init.constant_(each, RHO)

    def forward(self, x: Features, tasks: slice) -> Gaussian:
        """The posterior of each sample, (chosen, samples, latent); `tasks` are the samples'."""
        hidden = _call(self.first, x, tasks).relu()
        mean = _call(self.mean, hidden, tasks)
        if self.rho is None:
            return precise(mean, torch.zeros_like(mean))
        return precise(mean, functional.softplus(_call(self.rho, hidden, tasks)).square())


class BayesianLinear(nn.Module):
    """One linear layer whose matrix and bias are Gaussian: the latent numbers are its products.

    Source: the published code of Variational Multi-Task Learning, where the text says perceptrons;
    Kingma, Salimans, Welling (2015) for the local reparameterisation.
    """

    def __init__(
        self, width: int, hidden: int, latent: int, *, tasks: int | None, spread: bool
    ) -> None:
        """Build the layer, as `Perceptron`; `hidden` has no effect."""
        super().__init__()
        copies = 1 if tasks is None else tasks
        self._private = tasks is not None
        shapes = (copies, latent, width), (copies, 1, latent)
        self.mean, self.bias = (TaskRows(SPREAD * torch.randn(shape)) for shape in shapes)
        self.rho, self.bias_rho = (
            TaskRows(RHO + SPREAD * torch.randn(shape)) if spread else None for shape in shapes
        )

    def forward(self, x: Features, tasks: slice) -> Gaussian:
        """The posterior of each sample, (chosen, samples, latent); `tasks` are the samples'."""
        own = tasks if self._private else slice(None)
        mean, bias = self.mean(own), self.bias(own)
        if self.rho is None or self.bias_rho is None:
            points = x @ mean.mT + bias
            return precise(points, torch.zeros_like(points))
        products = through(x, Gaussian(mean, functional.softplus(self.rho(own)).square()))
        bias_variance = functional.softplus(self.bias_rho(own)).square()
        return precise(products.mean + bias, products.variance + bias_variance)


ENCODERS = {"bayesian_linear": BayesianLinear, "mlp": Perceptron}


def _linear(tasks: int | None, inputs: int, outputs: int) -> nn.Linear | StackedLinear:
    return nn.Linear(inputs, outputs) if tasks is None else StackedLinear(tasks, inputs, outputs)


def _call(layer: nn.Module, x: Tensor, tasks: slice) -> Tensor:
    return layer(x, tasks) if isinstance(layer, StackedLinear) else layer(x)
