"""Small image problems whose answers are known."""

from pathlib import Path
from typing import Any

import numpy as np

from mtlgym.datasets.images.image_tasks import ImageData, ImageTasks
from mtlgym.datasets.sources import Source
from mtlgym.problems.images import ImageProblem

SMALL: dict[str, Any] = {"filters": 4, "width": 4}  # as many features as a block has outputs
SIZES = {"train": 240, "val": 48, "test": 48}


def tasks(flipped=(False, True, False), sizes=SIZES, classes=2, seed=0):
    """Is the image bright (label 1) or dark? In flipped tasks the labels are swapped."""
    rng = np.random.default_rng(seed)
    splits = {name: split(rng, flipped, size, classes) for name, size in sizes.items()}
    names = tuple(f"task{t}" for t in range(len(flipped)))
    kinds = (tuple(f"class{k}" for k in range(classes)),) * len(flipped)
    return ImageData(names, kinds, splits)


def split(rng, flipped, size, classes):
    task = np.arange(size) % len(flipped)
    brightness = np.arange(size) // len(flipped) % classes
    images = rng.integers(0, 80, (size, 16, 16, 3)) + (brightness * 80)[:, None, None, None]
    label = np.where(np.array(flipped)[task], classes - 1 - brightness, brightness)
    return ImageTasks(images.astype(np.uint8), np.arange(size), task, label)


def problem(**options):
    return ImageProblem("toy", tasks(**options), Source("toy", "embedded", Path("toy"), "0"))
