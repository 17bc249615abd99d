"""Pretrained image models of transformers as backbones."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from transformers.image_processing_utils import ImageProcessingMixin

from mtlgym.models import hub
from mtlgym.models.backbone import Backbone, digest, probe

PREFIX = "transformers:"
FILES = "preprocessor_config.json"
OTHERWISE = ("do_flip_channel_order", "include_top", "rescale_offset")  # no mean and std says it
Triple = tuple[float, float, float]


def from_transformers(name: str) -> Backbone:
    """The image model of a local folder, or of the Hugging Face hub (downloaded once).

    Features are its `pooler_output`; where its files have no pooler, the mean of the last layer's
    tokens, or of its maps over space. Side, mean and std are those of its image processor.
    Differs from that one in how an image is resized: see
    `mtlgym.datasets.formats.image_cache.decode`.

    Args:
        name: of the folder or on the hub; may begin with `transformers:`.

    Raises:
        OSError: if neither has it; says how to get it.
        ValueError: if what is there cannot be loaded whole, makes no features of images alone, or
            has an image processor that mean and std do not describe.
    """
    place = name.removeprefix(PREFIX)
    config, model = hub.load("backbone", place, _processor, FILES)
    side = _side(place, config)
    mean, std = _normalisation(place, config)
    module = Pooled(model).eval().requires_grad_(False)
    probe(place, module, side)
    own = Path(place).resolve().name if Path(place).is_dir() else place
    return Backbone(f"{PREFIX}{own}", module, side, mean, std, digest(model))


class Pooled(nn.Module):
    """One row of features an image, from a model of transformers."""

    def __init__(self, model: nn.Module) -> None:
        """Take the model."""
        super().__init__()
        self.model = model

    def forward(
        self, images: Float[Tensor, "batch 3 side side"]
    ) -> Float[Tensor, "batch features"]:
        """The pooler's output; without one, the mean over tokens or over space."""
        found = self.model(pixel_values=images)
        pooled = getattr(found, "pooler_output", None)
        if pooled is not None:
            return pooled.flatten(1)
        last = found.last_hidden_state  # (batch, tokens, features), or maps
        return last.mean(dim=1) if last.ndim == 3 else last.flatten(2).mean(dim=2)


def _processor(name: str) -> dict[str, Any]:
    """The image processor's settings; it is not made, as it may need torchvision."""
    return ImageProcessingMixin.get_image_processor_dict(name)[0]


def _side(name: str, config: Mapping[str, Any]) -> int:
    """Pixels of an image that the processor hands on."""
    size = config.get("crop_size" if config.get("do_center_crop") else "size")
    sides = {*size.values()} if isinstance(size, Mapping) else {size}
    side = sides.pop() if len(sides) == 1 else None
    if not isinstance(side, int) or isinstance(side, bool) or side < 1:
        raise ValueError(f"`backbone` {name!r} must be of square images: {FILES} says {size!r}")
    return side


def _normalisation(name: str, config: Mapping[str, Any]) -> tuple[Triple, Triple]:
    """Mean and std of the channels, of pixels in [0, 1]."""
    for key in OTHERWISE:
        if config.get(key):
            raise ValueError(
                f"`backbone` {name!r} must be of images that are scaled, and normalised by mean "
                f"and std, only: {FILES} says {key}"
            )
    scale = config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1
    mean: Any = config.get("image_mean")
    std: Any = config.get("image_std")
    if not config.get("do_normalize", True):
        mean, std = (0, 0, 0), (1, 1, 1)
    try:
        red, green, blue = (float(each) / (255 * scale) for each in mean)
        stds = tuple(float(each) / (255 * scale) for each in std)
        if len(stds) != 3 or not all(0 < each < math.inf for each in stds):
            raise ValueError("each std is above 0")
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ValueError(
            f"`backbone` {name!r} must have image_mean and image_std of three channels in {FILES}, "
            f"and rescale_factor above 0: {error}"
        ) from error
    return (red, green, blue), (stds[0], stds[1], stds[2])
