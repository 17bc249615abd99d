"""Encoder and decoder of equal stages for dense prediction, one small head a task."""

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor, nn

FILTERS = (64, 128, 256, 512, 512)  # channels of each stage, as published


class SegNetTrunk(nn.Module):
    """Features of every pixel: down by max-pooling, up by unpooling to the remembered places.

    A stage is one 3x3 convolution that changes the channels and then one more (the first two
    stages) or two more (the others) that keep them, each with batch norm and ReLU. The decoder
    mirrors the encoder. Maps of odd size lose a row or column when they are pooled and get it back
    when they are unpooled, so every image size works that leaves at least one pixel after the last
    pooling.

    Source: Badrinarayanan, Kendall, Cipolla, https://arxiv.org/abs/1511.00561, in the form "split"
    of Liu, Johns, Davison (CVPR 2019), https://arxiv.org/abs/1803.10704.
    Differs from it in that the image's size need not be a multiple of 32.
    """

    def __init__(self, filters: Sequence[int] = FILTERS) -> None:
        """Make a stage of the encoder and one of the decoder for each number of channels."""
        super().__init__()
        if not filters or min(filters) < 1:
            raise ValueError(f"`filters` must be channels of at least one stage, not {filters}")
        wide = [*filters]
        self.encoder = nn.ModuleList(
            _stage(before, after, more=1 if i < 2 else 2)
            for i, (before, after) in enumerate(zip([3, *wide], wide, strict=False))
        )
        self.decoder = nn.ModuleList(  # the stage i stands at i and is applied last to first
            _stage(before, after, more=1 if i < 2 else 2)
            for i, (before, after) in enumerate(zip(wide, [wide[0], *wide], strict=False))
        )
        self.pool = nn.MaxPool2d(2, return_indices=True)

    def forward(self, image: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch c h w"]:
        """Features of the image's size, with as many channels as the first stage."""
        least = 2 ** len(self.encoder)
        if min(image.shape[2:]) < least:
            raise ValueError(
                f"an image of {len(self.encoder)} stages must have at least {least} x {least} "
                f"pixels, not {image.shape[2]} x {image.shape[3]}"
            )
        features, places = image, []
        for stage in self.encoder:
            whole = stage(features)
            features, indices = self.pool(whole)
            places.append((indices, tuple(whole.shape[2:])))
        for stage, (indices, size) in zip(reversed(self.decoder), reversed(places), strict=True):
            features = stage(unpool(features, indices, size))
        return features


class SegNet(nn.Module):
    """Predict every task of an image from one shared SegNet, a small head a task.

    A head is a 3x3 convolution that keeps the channels and a 1x1 convolution to the outputs, with
    nothing between them. Convolutions start as Xavier normal with biases 0, batch norms as the
    identity. What leaves the heads is raw: losses and metrics normalise it.

    Source: as `SegNetTrunk`. The published uncertainty weights are not part of it.

    Attributes:
        trunk: what all tasks share: 24,943,296 parameters at the published size.
        heads: one a task, in the order of the tasks.
    """

    def __init__(self, outputs: Sequence[int], filters: Sequence[int] = FILTERS) -> None:
        """Build the trunk and one head for each task with that many output channels."""
        super().__init__()
        if not outputs or min(outputs) < 1:
            raise ValueError(f"`outputs` must be channels of at least one head, not {outputs}")
        self.trunk = SegNetTrunk(filters)
        wide = filters[0]
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Conv2d(wide, wide, 3, padding=1), nn.Conv2d(wide, channels, 1))
            for channels in outputs
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:  # all have one
                nn.init.xavier_normal_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, image: Float[Tensor, "batch 3 height width"]) -> tuple[Tensor, ...]:
        """Each task's output, (batch, channels, height, width)."""
        features = self.trunk(image)
        return tuple(head(features) for head in self.heads)


def unpool(
    pooled: Float[Tensor, "batch channels h w"],
    indices: Int[Tensor, "batch channels h w"],
    size: tuple[int, ...],
) -> Float[Tensor, "batch channels height width"]:
    """Put what max-pooling kept back to where it was in a map of that size, zeros elsewhere.

    The same as `torch.nn.functional.max_unpool2d`, which lacks rules for `vmap`, so that the
    gradients of several losses could not be had in one pass. It keeps the memory format.
    """
    axis, places, values = 2, indices.flatten(2), pooled.flatten(2)
    if pooled.stride(1) == 1:  # channels last
        axis, places, values = 1, places.transpose(1, 2), values.transpose(1, 2)
    shape = list(values.shape)
    shape[axis] = size[0] * size[1]
    whole = values.new_zeros(shape).scatter(axis, places, values)
    return (whole if axis == 2 else whole.transpose(1, 2)).unflatten(2, size)


def _stage(before: int, after: int, more: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in [before] + [after] * more:
        layers += [nn.Conv2d(channels, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)
