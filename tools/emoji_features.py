"""Features of the embedded emoji by a pretrained network, in five bits each."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import wheel
from numpy.typing import NDArray

from mtlgym.datasets.domains import emoji as emoji_domains
from mtlgym.datasets.domains.features import features_of
from mtlgym.datasets.formats.arrays import write_arrays
from mtlgym.datasets.images import emoji
from mtlgym.models.backbones import PACKAGE, efficientnet_lite0

QUANTILE = 0.999  # of a feature, which the largest code stands for
LEAST = 1e-6  # what it stands for at least


def write(path: Path, files: Sequence[Path], seed: int) -> str:
    """Write the file from the package of the network's weights; nothing is drawn by chance."""
    return write_arrays(path, arrays(files[0]), zipfile.ZIP_LZMA)


def arrays(source: Path) -> dict[str, np.ndarray]:
    """What the file holds: codes (artists, glyphs, features), their tops, and code points.

    A feature is (code / 31)^2 times its top.

    Args:
        source: the package of the network's weights.
    """
    torch.set_num_threads(1)  # so that sums are in one order
    glyphs = emoji.glyphs()[0]
    index = emoji_domains.pick(glyphs)[0]
    pictures = glyphs.images[:, index]
    with wheel.opened(source, PACKAGE) as package:
        backbone = efficientnet_lite0(package)
    features = features_of(pictures.reshape(-1, *pictures.shape[2:]), backbone)
    codes, tops = coded(features)
    return {
        # in Fortran's order, a feature's codes stand together, which packs them best
        "codes": np.asfortranarray(codes.reshape(*pictures.shape[:2], -1)),
        "tops": tops,
        "codepoints": np.array(glyphs.codepoints)[index],
    }


def coded(features: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Five bits of the root of each feature's share of its top, and the tops."""
    tops = np.maximum(np.quantile(features, QUANTILE, axis=0), LEAST).astype(np.float32)
    roots = np.sqrt(np.clip(features / tops, 0, 1))
    return np.rint(roots * emoji_domains.STEPS).astype(np.uint8), tops
