"""The logistic-normal distribution of task weights: a softmax of independent normals."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


class LogisticNormal:
    r"""Task weights w = n softmax(u), u_i ~ N(mu_i, sigma_i^2), with their exact density.

    The softmax does not depend on the common level of u, so the weights have n - 1 degrees of
    freedom. With y_i = u_i - u_n ~ N(mu_i - mu_n, diag(sigma_i^2) + sigma_n^2 1 1^T), the density
    of the weights with respect to any n - 1 of them is

        p(w) = N(y) n^-(n-1) / prod_i (w_i / n).

    Sherman-Morrison and the determinant lemma put it in a form that treats all tasks alike: for
    z_i = log w_i - mu_i and the precisions' shares q_i = sigma_i^-2 / sum_j sigma_j^-2,

        -2 log N(y) = (n-1) log 2 pi + sum_i log sigma_i^2 + log sum_i sigma_i^-2
                      + sum_i ((z_i - sum_j q_j z_j) / sigma_i)^2.

    A single task always weighs 1, with density 1. The methods are those that the actor of
    Stable-Baselines3's SAC calls on its `action_dist`.

    Source: Aitchison, Shen, "Logistic-normal distributions" (Biometrika 67, 1980).
    Differs from it in that u has n independent components, not n - 1 dependent ones, and in that
    the weights sum to n, not to 1.
    """

    def proba_distribution(
        self, mean: Float[Tensor, "batch tasks"], log_std: Float[Tensor, "batch tasks"]
    ) -> "LogisticNormal":
        """Set mu and log sigma, both in nats, and return the distribution itself."""
        self._mean, self._log_std = mean, log_std
        return self

    def sample(self) -> Float[Tensor, "batch tasks"]:
        """Weights drawn from torch's global generator; gradients flow to mu and log sigma."""
        noise = torch.randn_like(self._mean)
        return _weights(self._mean + self._log_std.exp() * noise)

    def mode(self) -> Float[Tensor, "batch tasks"]:
        """The weights n softmax(mu), the deterministic action; their median in log ratios."""
        return _weights(self._mean)

    def log_prob(self, weights: Float[Tensor, "batch tasks"]) -> Float[Tensor, " batch"]:
        """Log density of weights that sum to n, in nats; finite also where a weight underflows."""
        tiny = torch.finfo(weights.dtype).tiny
        log_shares = (weights.clamp_min(tiny) / weights.shape[-1]).log()
        deviation = log_shares - self._mean
        centred = deviation - self._pooled(deviation)
        return self._log_density(centred * (-self._log_std).exp(), log_shares)

    def actions_from_params(
        self,
        mean: Float[Tensor, "batch tasks"],
        log_std: Float[Tensor, "batch tasks"],
        deterministic: bool = False,
    ) -> Float[Tensor, "batch tasks"]:
        """Set the parameters; return a sample, or n softmax(mu)."""
        self.proba_distribution(mean, log_std)
        return self.mode() if deterministic else self.sample()

    def log_prob_from_params(
        self, mean: Float[Tensor, "batch tasks"], log_std: Float[Tensor, "batch tasks"]
    ) -> tuple[Float[Tensor, "batch tasks"], Float[Tensor, " batch"]]:
        """Set the parameters; return a sample and its log density.

        The noise of the sample is used in the density directly, so that no digits are lost
        where sigma is far smaller than mu.
        """
        self.proba_distribution(mean, log_std)
        noise = torch.randn_like(mean)
        deviation = log_std.exp() * noise
        log_shares = torch.log_softmax(mean + deviation, dim=-1)
        residual = noise - self._pooled(deviation) * (-log_std).exp()
        return mean.shape[-1] * log_shares.exp(), self._log_density(residual, log_shares)

    def _pooled(self, deviation: Tensor) -> Tensor:
        """Mean of the deviations, weighted by precision; (batch, 1)."""
        shares = torch.softmax(-2 * self._log_std, dim=-1)
        return (shares * deviation).sum(-1, keepdim=True)

    def _log_density(self, residual: Tensor, log_shares: Tensor) -> Tensor:
        """Log density from standardised residuals and log(w / n), both (batch, tasks)."""
        tasks = residual.shape[-1]
        log_det = 2 * self._log_std.sum(-1) + torch.logsumexp(-2 * self._log_std, dim=-1)
        constant = (tasks - 1) * (math.log(2 * math.pi) + 2 * math.log(tasks))
        return -0.5 * (constant + log_det + residual.square().sum(-1)) - log_shares.sum(-1)


def _weights(logits: Tensor) -> Tensor:
    return logits.shape[-1] * torch.softmax(logits, dim=-1)
