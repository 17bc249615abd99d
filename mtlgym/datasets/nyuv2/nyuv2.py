"""NYUv2: indoor images with classes, depth and surface normals.

Source: Silberman, Hoiem, Kohli, Fergus (ECCV 2012); 13 classes, 288 x 384 pixels, 795 images for
training and 654 for test as preprocessed by Liu, Johns, Davison (CVPR 2019),
https://arxiv.org/abs/1803.10704.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtlgym.datasets import sources
from mtlgym.datasets.frames import Frames
from mtlgym.datasets.nyuv2.files import FolderFrames
from mtlgym.datasets.nyuv2.hub import convert
from mtlgym.datasets.nyuv2.split import split
from mtlgym.datasets.rooms import rooms

__all__ = ["load", "verify"]

SPLITS = ("train", "val", "test")


def load(
    data: str = "auto",
    height: int = 288,
    width: int = 384,
    counts: Sequence[int] = (795, 197, 457),
) -> tuple[Frames, dict[str, NDArray[np.int64]], sources.Source]:
    """NYUv2's frames, or rendered rooms; which of them are "train", "val" and "test".

    The first load of the hub's parquet files converts them, which takes minutes.

    Args:
        data: "auto", "real" or "embedded"; see `sources.choose`.
        height: of the rooms, pixels; the real images have their own size.
        width: of the rooms, pixels.
        counts: of the rooms in each split.

    Raises:
        ValueError: for another mode, or a damaged file; names the file.
        FileNotFoundError: for "real" without the files; says how to get them.
        ImportError: if the files are parquet and pyarrow is not there.
    """
    found = sources.choose(data, "nyuv2")
    if found is None:
        views, edges = rooms.rooms(height, width), np.cumsum([0, *counts])
        indices = [np.arange(*ends) for ends in pairwise(edges)]
        source = sources.Source("nyuv2", "embedded", Path(rooms.__file__), views.sha256())
        return views, dict(zip(SPLITS, indices, strict=True)), source
    folder = _folder(found)
    frames = FolderFrames(folder)
    source = sources.Source("nyuv2", "real", folder, frames.sha256)
    return frames, split(*frames.counts), source


def verify(folder: Path) -> None:
    """Read every frame of the real files.

    Raises:
        ValueError: for the first file that is damaged or holds what is not allowed; names it.
        ImportError: if the files are parquet and pyarrow is not there.
    """
    frames = FolderFrames(_folder(folder))
    for index in range(sum(frames.counts)):
        frames.frame(index)


def _folder(found: Path) -> Path:
    """Where the `.npy` files are."""
    if all((found / file).exists() for file in sources.DATASETS["nyuv2"].files):
        return found
    converted = found / "converted"
    return converted if converted.exists() else convert(found)
