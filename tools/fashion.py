"""A part of Fashion-MNIST, drawn evenly of its classes."""

import tempfile
from pathlib import Path

import debian
import numpy as np

from mtlgym.datasets.formats import idx

FOLDER = "./usr/share/datasets/fashion-mnist"
CLASSES, SIDE = 10, 28
SIZES = {"train": ("train", 350), "val": ("train", 50), "test": ("t10k", 100)}  # per class


def arrays(package: Path, seed: int) -> dict[str, np.ndarray]:
    """What the file holds: of each split an array (classes, images, 28, 28), in the files' order.

    Args:
        package: Debian's dataset-fashion-mnist.
        seed: of which images are taken.
    """
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder, debian.opened(package) as archive:
        archive.extractall(folder, filter="data")
        found = {part: _read(Path(folder) / FOLDER, part) for part in ("train", "t10k")}
    chosen = {split: [] for split in SIZES}
    for each in range(CLASSES):
        orders = {
            part: rng.permutation(np.flatnonzero(labels == each))
            for part, (_, labels) in found.items()
        }
        for split, (part, count) in SIZES.items():
            taken, orders[part] = np.split(orders[part], [count])
            chosen[split].append(found[part][0][np.sort(taken)])
    return {split: np.array(images) for split, images in chosen.items()}


def _read(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """A part's images and labels."""
    images = idx.read(folder / f"{part}-images-idx3-ubyte.gz", None, SIDE, SIDE)
    return images, idx.read(folder / f"{part}-labels-idx1-ubyte.gz", None)
