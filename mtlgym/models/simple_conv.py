"""A small convolutional trunk for small images."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtlgym import checks

FILTERS, STAGES = 32, 4  # as published


class SimpleConv(nn.Module):
    """Features of an image by equal stages, each of which halves its sides.

    A stage is a 3x3 convolution, batch norm, ReLU and 2x2 max-pooling; odd sides lose their last
    row or column.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), https://arxiv.org/abs/1711.01239: what comes
    before the routed layers of "SimpleConvNet".
    """

    def __init__(self, channels: int, filters: int = FILTERS, stages: int = STAGES) -> None:
        """Build the stages for `channels` inputs, drawn from torch's default generator."""
        super().__init__()
        for name, value in (("channels", channels), ("filters", filters), ("stages", stages)):
            checks.integer(name, value, least=1)
        self._filters, self._stages = filters, stages
        inputs = [channels, *[filters] * (stages - 1)]
        self.layers = nn.Sequential(*(_stage(each, filters) for each in inputs), nn.Flatten())
        # Channels side by side cost a CPU a third less time than they do apart.
        self.layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @staticmethod
    def features(height: int, width: int, filters: int = FILTERS, stages: int = STAGES) -> int:
        """How many features an image of this size has.

        Raises:
            ValueError: for a side of fewer than 2^stages pixels.
        """
        least = 2**stages
        if min(height, width) < least:
            raise ValueError(
                f"an image of {stages} stages must have at least {least} x {least} pixels, "
                f"not {height} x {width}"
            )
        return filters * (height // least) * (width // least)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch features"]:
        """The features of each image."""
        height, width = images.shape[2:]
        self.features(height, width, self._filters, self._stages)
        return self.layers(images)


def _stage(inputs: int, filters: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, filters, 3, padding=1),
        nn.BatchNorm2d(filters),
        nn.MaxPool2d(2),
        nn.ReLU(),  # after pooling it gives the same, from a quarter of the numbers
    )
