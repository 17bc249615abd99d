"""A network that turns images into features, and the form of its input images."""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn

FAULTS = (AssertionError, AttributeError, IndexError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network that is not trained, with the name under which its features are stored.

    An image goes in as (pixels / 255 - mean) / std.

    Attributes:
        name: the backbone's; the folder's or file's own name where it was read from files.
        module: in eval mode; float32 images (n, 3, side, side) in red, green and blue -> features
            (n, width).
        side: pixels.
        mean: of each channel, of pixels in [0, 1].
        std: likewise, above 0.
        digest: hexadecimal SHA-256 of its parameters and buffers with their names; of the file
            where it was read from one of `torch.export`.
    """

    name: str
    module: nn.Module
    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    digest: str


def probe(name: str, module: nn.Module, side: int) -> None:
    """Check that one image and two images give one row of floating-point numbers each.

    Raises:
        ValueError: if they do not; names the backbone, and says what came instead.
    """
    for count in (1, 2):
        try:
            with torch.inference_mode():
                found = module(torch.zeros(count, 3, side, side))
        except FAULTS as error:
            found = " ".join(str(error).split())[:300]
        if not isinstance(found, Tensor):
            said = found if isinstance(found, str) else f"a {type(found).__name__}"
        elif found.ndim != 2 or len(found) != count or not found.is_floating_point():
            said = f"{found.dtype} {tuple(found.shape)}"
        else:
            continue
        raise ValueError(
            f"`backbone` {name!r} must turn any number of images, float32 (n, 3, {side}, {side}), "
            f"into features, (n, width); {count} gave: {said}"
        )


def digest(model: nn.Module) -> str:
    """The SHA-256 of a model's parameters and buffers, with their names."""
    found = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        found.update(name.encode())
        found.update(value.contiguous().numpy())
    return found.hexdigest()
