"""Diagonal Gaussians: sampling, divergence, pooling, and the output of a linear layer."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

FLOOR = 1e-6  # added to a pooled variance, which would be 0 where all weights are
TINY = 1e-30  # the least variance whose root is taken: the slope of the root at 0 is infinite


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A distribution of independent normal numbers.

    Attributes:
        mean: of each number.
        variance: of each number, in the shape of `mean`; zeros make it a point.
    """

    mean: Tensor
    variance: Tensor

    def sample(self, count: int) -> Tensor:
        """Draw `count` samples, (count, *shape), through which gradients flow.

        Source: Kingma and Welling (2013), the reparameterisation trick.
        """
        noise = torch.randn(count, *self.mean.shape, device=self.mean.device, dtype=self.mean.dtype)
        return torch.addcmul(self.mean, self.variance.clamp_min(TINY).sqrt(), noise)

    def detach(self) -> "Gaussian":
        """The same distribution without gradients."""
        return Gaussian(self.mean.detach(), self.variance.detach())

    def __getitem__(self, index: slice | tuple[slice | Tensor, ...]) -> "Gaussian":
        """Some of the numbers."""
        return Gaussian(self.mean[index], self.variance[index])


def precise(mean: Tensor, variance: Tensor) -> Gaussian:
    """The distribution in at least float32, whatever the precision of the forward pass."""
    kind = torch.promote_types(mean.dtype, torch.float32)
    return Gaussian(mean.to(kind), variance.to(kind))


def standard(like: Gaussian) -> Gaussian:
    """Mean 0 and variance 1, in the shape of another."""
    return Gaussian(torch.zeros_like(like.mean), torch.ones_like(like.mean))


def kl(posterior: Gaussian, prior: Gaussian) -> Tensor:
    """KL(posterior || prior) of each number in nats, at least 0, in the means' common shape.

    1/2 (r - 1 - log r + (m - n)^2 / p) for means m, n and variances s, p, with r = s / p.
    """
    excess = (posterior.variance - prior.variance) / prior.variance
    shift = (posterior.mean - prior.mean).square() / prior.variance
    # Near r = 1 the logarithm of r would leave nothing but rounding; near 0 that of 1 + excess.
    small = posterior.variance.clamp_min(TINY).log() - prior.variance.log()
    ratio = torch.where(excess > -0.5, torch.log1p(excess.clamp_min(-0.5)), small)
    return 0.5 * (excess - ratio + shift)


def pool(weights: Float[Tensor, "chosen tasks"], others: Gaussian) -> Gaussian:
    """The Gaussian of the weighted sum of independent numbers, a task a row of weights.

    The mean is sum_i A_i mu_i and the variance sum_i A_i^2 sigma_i^2 + 1e-6.

    Source: Variational Multi-Task Learning (2021), eqs. 9 and 11, with the closed form of its
    published code.
    Differs from the text in that it is not the mixture sum_i A_i q_i, whose divergence has no
    closed form: one Gaussian stands for it, and the KL against that bounds nothing.

    Args:
        weights: A, one row for each task whose prior is computed.
        others: the tasks' distributions, (tasks, *shape).
    """
    with torch.autocast(weights.device.type, enabled=False):
        mean = torch.tensordot(weights, others.mean, 1)
        return Gaussian(mean, torch.tensordot(weights.square(), others.variance, 1) + FLOOR)


def pool_each(weights: Float[Tensor, "chosen tasks"], others: Gaussian) -> Gaussian:
    """As `pool`, with distributions of their own for each sample.

    Args:
        weights: A, one row for each task whose prior is computed.
        others: (chosen, samples, tasks, latent).
    """
    with torch.autocast(weights.device.type, enabled=False):
        mean = torch.einsum("ct,cstl->csl", weights, others.mean)
        spread = torch.einsum("ct,cstl->csl", weights.square(), others.variance)
        return Gaussian(mean, spread + FLOOR)


def through(inputs: Tensor, weights: Gaussian) -> Gaussian:
    """The distribution of the products of inputs and a random matrix, number by number.

    Drawing these products in place of the matrix's entries gives each sample its own noise, which
    makes gradients less noisy.

    Source: Kingma, Salimans, Welling (2015), the local reparameterisation trick.

    Args:
        inputs: (..., samples, width).
        weights: of the matrix, (..., outputs, width).
    """
    mean = inputs @ weights.mean.mT
    return Gaussian(mean, inputs.square() @ weights.variance.mT)
