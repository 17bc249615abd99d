"""Losses of predictions for every pixel, over the pixels whose truth is known.

Where none is known in a batch, the loss is 0 and so is its gradient. No loss is negative.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from mtlgym.datasets.augmentation import unit
from mtlgym.datasets.frames import CLASSES, FrameBatch

Output = Float[Tensor, "batch channels height width"]
Mask = Bool[Tensor, "batch height width"]


def segmentation(output: Output, batch: FrameBatch) -> Float[Tensor, ""]:
    """The mean cross-entropy, in nats, of the classes; `output` are logits."""
    total = cross_entropy(output, batch.label, ignore_index=-1, reduction="sum")
    return total / (batch.label >= 0).sum().clamp(min=1)


def depth(output: Output, batch: FrameBatch) -> Float[Tensor, ""]:
    """The mean absolute error of the depth, in metres."""
    return masked_mean((output - batch.depth).abs()[:, 0], known_depth(batch))


def normal(output: Output, batch: FrameBatch) -> Float[Tensor, ""]:
    """1 - the mean cosine between the normals; `output` has any length but 0."""
    cosine = (unit(output) * batch.normal).sum(dim=1)
    known = known_normal(batch)
    return masked_mean(1 - cosine, known).clamp(min=0)  # rounding may give -1e-8


def known_depth(batch: FrameBatch) -> Mask:
    """Where there is a depth."""
    return batch.depth[:, 0] != 0


def known_normal(batch: FrameBatch) -> Mask:
    """Where there is a normal: where any of its components is not 0."""
    return (batch.normal != 0).any(dim=1)


def masked_mean(values: Float[Tensor, "batch height width"], mask: Mask) -> Float[Tensor, ""]:
    """The mean over the mask; 0 if it is empty."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)


@dataclass(frozen=True)
class Objective:
    """The loss of a task and the channels of its output.

    Attributes:
        channels: of its head.
        loss: `(output, batch) -> ()`.
    """

    channels: int
    loss: Callable[[Tensor, FrameBatch], Tensor]


OBJECTIVES = {
    "segmentation": Objective(len(CLASSES), segmentation),
    "depth": Objective(1, depth),
    "normal": Objective(3, normal),
}
