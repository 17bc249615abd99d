"""Metrics of predictions that do not depend on the image: what a network must exceed on rooms.

    python benchmarks/constant_predictors.py [--env MTL-Rooms-v0]

From the training split: the most frequent class, the median depth and the mean normal, once for
all pixels together and once for each pixel position. Prints the metrics on the test split.
"""

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro
from torch import Tensor, nn

from mtlgym.datasets.frames import CLASSES, FrameBatch


@dataclass
class Args:
    """What is measured."""

    env: str = "MTL-Rooms-v0"


class Constant(nn.Module):
    """The same prediction for every image."""

    def __init__(self, truth: FrameBatch, *, by_place: bool) -> None:
        """Take it from the truth of some images."""
        super().__init__()
        one_hot = nn.functional.one_hot(truth.label.clamp(min=0), len(CLASSES)).movedim(-1, 1)
        votes = (one_hot * (truth.label >= 0)[:, None]).sum(dim=0, keepdim=True).double()
        known = torch.where(truth.depth > 0, truth.depth, torch.nan)
        normal = truth.normal.double().sum(dim=0, keepdim=True)
        if by_place:
            depth = known.nanmedian(dim=0, keepdim=True).values
        else:
            votes, normal = (x.sum(dim=(2, 3), keepdim=True) for x in (votes, normal))
            depth = known.nanmedian().reshape(1, 1, 1, 1)
        depth = depth.nan_to_num(nan=float(known.nanmedian()))
        shape = truth.image.shape[2:]
        self.parts = [x.float().expand(1, -1, *shape) for x in (votes, depth, normal)]
        self.unused = nn.Parameter(torch.zeros(1))  # so that it has a device

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Votes for the classes, depth and normal."""
        return tuple(part.expand(len(image), -1, -1, -1) for part in self.parts)


def main(args: Args) -> None:
    """Measure and print."""
    problem: Any = gym.make(f"mtlgym:{args.env}", data="embedded").unwrapped.problem
    train = problem.splits["train"]
    truth = train.read(np.arange(train.sizes[0]))
    for title, by_place in (("one for all pixels", False), ("one for each place", True)):
        with torch.no_grad():
            values = problem.measure(
                Constant(truth, by_place=by_place).eval(), problem.splits["test"]
            )
        print(title, {key: round(value, 4) for key, value in values.items()})


if __name__ == "__main__":
    main(tyro.cli(Args))
