"""EfficientNet-Lite0: a small convolutional network whose pooled maps serve as image features."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

SIDE = 224  # pixels of the images that it was trained on
WIDTH = 1280  # features
STEM = 32  # channels of the first map
STAGES = (  # blocks, kernel, stride of the first block, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
EPSILON = 1e-3  # of the batch norms


class EfficientNetLite0(nn.Module):
    """Features of images: a stem, 16 inverted residual blocks, a head, and the mean over space.

    Every convolution keeps a map's size, or halves it, rounded up, where its stride is 2; it pads
    with zeros, the odd row or column below and on the right. Activations are ReLU6, so features lie
    in [0, 6]. The classifier that was trained on top is not part of it. 3,371,008 parameters.

    Source: Tan, Le (ICML 2019), https://arxiv.org/abs/1905.11946, in the form "lite0", without
    squeeze-and-excitation and with ReLU6, of https://github.com/tensorflow/tpu.
    Differs from it in that no block is dropped in training.
    """

    def __init__(self) -> None:
        """Build the layers, initialised from torch's default generator."""
        super().__init__()
        blocks, before = [], STEM
        for count, kernel, stride, expansion, channels in STAGES:
            for i in range(count):
                own = stride if i == 0 else 1
                blocks.append(_Block(before, channels, kernel, own, expansion))
                before = channels
        self.stem = nn.Sequential(*_convolution(3, STEM, 3, 2), nn.ReLU6())
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(*_convolution(before, WIDTH, 1), nn.ReLU6())

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch features"]:
        """The 1280 features of each image."""
        return self.head(self.blocks(self.stem(images))).mean(dim=(2, 3))


def with_weights(state: Mapping[str, Tensor]) -> EfficientNetLite0:
    """The network with the parameters of another implementation, in eval mode.

    Args:
        state: its `state_dict`, whose layers stand in the order of this network's; a classifier
            behind them, named `_fc`, is left out.

    Raises:
        ValueError: if the numbers or the shapes of the parameters are other ones.
    """
    with torch.random.fork_rng(devices=[]):  # what is drawn is replaced
        network = EfficientNetLite0()
    own = network.state_dict()
    values = [value for name, value in state.items() if not name.startswith("_fc.")]
    shapes = [tuple(value.shape) for value in values]
    if shapes != [tuple(value.shape) for value in own.values()]:
        raise ValueError(
            f"`state` must have the {len(own)} arrays of EfficientNet-Lite0 in their order and "
            f"shapes; it has {len(values)}, which are not these"
        )
    network.load_state_dict(dict(zip(own, values, strict=True)))
    return network.eval()


class _Block(nn.Module):
    """An inverted residual block: expand, convolve each channel, project, and add the input."""

    def __init__(
        self, before: int, channels: int, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        wide = before * expansion
        layers = [*_convolution(before, wide, 1), nn.ReLU6()] if expansion > 1 else []
        layers += [*_convolution(wide, wide, kernel, stride, groups=wide), nn.ReLU6()]
        self.layers = nn.Sequential(*layers, *_convolution(wide, channels, 1))
        self.residual = stride == 1 and before == channels

    def forward(self, maps: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch d i j"]:
        found = self.layers(maps)
        return maps + found if self.residual else found


class _SamePadding(nn.Module):
    """Zeros around a map, with which a convolution gives its size by the stride, rounded up."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, maps: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c i j"]:
        height, width = (
            max((-(-size // self.stride) - 1) * self.stride + self.kernel - size, 0)
            for size in maps.shape[2:]
        )
        around = (width // 2, width - width // 2, height // 2, height - height // 2)
        return functional.pad(maps, around)


def _convolution(
    before: int, channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Padding, a convolution without biases, and a batch norm."""
    layers: list[nn.Module] = [_SamePadding(kernel, stride)] if kernel > 1 else []
    convolution = nn.Conv2d(before, channels, kernel, stride, groups=groups, bias=False)
    return [*layers, convolution, nn.BatchNorm2d(channels, eps=EPSILON)]
