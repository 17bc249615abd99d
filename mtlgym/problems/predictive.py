"""Predictions of a model of domains, their uncertainty, and the quality of both."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mtlgym import checks
from mtlgym.models.vmtl import VMTL
from mtlgym.randomness import private_randomness

AT_ONCE = 500  # samples in one pass
BINS = 15  # of the calibration error


@dataclass(frozen=True, eq=False)
class Predictive:
    """The predictive distribution of some samples.

    Attributes:
        probabilities: mean over the draws, rows sum to 1.
        deviation: of the probabilities over the draws; 0 for the posteriors' means.
        entropy: of the mean probabilities, in nats: all uncertainty.
        information: between prediction and z, w, in nats: the disagreement of the draws, the
            entropy less the mean entropy of the draws; 0 for the posteriors' means.
    """

    probabilities: Float[Tensor, "samples classes"]
    deviation: Float[Tensor, "samples classes"]
    entropy: Float[Tensor, " samples"]
    information: Float[Tensor, " samples"]


@torch.no_grad()
def predict(
    model: VMTL, x: Float[Tensor, "samples width"], task: int, draws: int = 0, seed: int = 0
) -> Predictive:
    """The classes of one domain's samples, with the model in the mode that it is in.

    Args:
        model: of all domains.
        x: scaled features, as splits hold them.
        task: the domain's index.
        draws: of z and w; 0 for the posteriors' means, as published.
        seed: of the draws, which leave torch's own generators as they are.

    Raises:
        ValueError: for no samples, another task, or a number of draws or a seed that is none.
    """
    task = checks.choice("task", task, model.tasks)
    checks.integer("draws", draws, least=0)
    checks.integer("seed", seed, least=0)
    if not len(x):
        raise ValueError("`x` must have at least one sample, not none")
    device = next(model.parameters()).device
    parts = []
    with private_randomness(device, seed):
        for start in range(0, len(x), AT_ONCE):
            chunk = x[start : start + AT_ONCE].to(device)[None]
            scores = model.scores(chunk, slice(task, task + 1), draws)[:, 0]
            parts.append(_summary(scores.double().softmax(dim=-1).cpu()))
    return Predictive(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _summary(each: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Summarise the probabilities by each draw, (draws, samples, classes)."""
    mean = each.mean(dim=0)
    entropy = torch.special.entr(mean).sum(dim=1)
    within = torch.special.entr(each).sum(dim=2).mean(dim=0)
    return mean, each.std(dim=0, correction=0), entropy, (entropy - within).clamp_min(0.0)


def quality(
    probabilities: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"]
) -> dict[str, float]:
    """`accuracy` in percent, `nll` in nats and `ece` in percent of predictions.

    A prediction that is not finite is wrong.
    """
    confidence, predicted = probabilities.max(dim=1)
    correct = (predicted == labels) & confidence.isfinite()
    likelihood = probabilities.gather(1, labels[:, None]).clamp_min(1e-300)
    gap = math.nan
    if confidence.isfinite().all():
        gap = calibration_error(confidence.numpy(), correct.numpy())
    return {
        "accuracy": 100.0 * float(correct.double().mean()),
        "nll": -float(likelihood.log().mean()),
        "ece": 100.0 * gap,
    }


def calibration_error(
    confidence: Float[np.ndarray, " samples"], correct: Bool[np.ndarray, " samples"]
) -> float:
    """The expected calibration error, in [0, 1]: mean gap of confidence and accuracy in 15 bins.

    The bins are of equal width over (0, 1], and each counts by its share of the samples.

    Source: Guo, Pleiss, Sun, Weinberger (ICML 2017), eq. 3.
    """
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, weights=confidence - correct, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))
