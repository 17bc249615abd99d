"""A subset of Fashion-MNIST: ten kinds of clothes, each a task of one kind against the rest.

500 images a kind, as published: 350 to train and 50 to validate of the training file, 100 to test
of the test file. It is a subset, not the benchmark.

Source: Xiao, Rasul, Vollgraf (2017), https://arxiv.org/abs/1708.07747.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mtlgym.datasets import sources
from mtlgym.datasets.images.image_tasks import SPLITS, ImageData, one_against_rest

CLASSES = (  # in the order of the published labels
    "t_shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle_boot",
)
SEED = 0  # of which other clothes a task has


def load() -> tuple[ImageData, sources.Source]:
    """Load ten tasks and their source; label 1 is for images of the task's kind.

    A task has all images of its kind and, of each other kind, a ninth as many, rounded: so the
    share of ones is nearly 1/2 (train 350 of 701, val 50 of 104, test 100 of 199). The same samples
    are drawn every time.

    Raises:
        ValueError: if the file is damaged; names it.
    """
    arrays, source = _arrays()
    splits = {}
    for number, split in enumerate(SPLITS):
        kinds, count, height, width = arrays[split].shape
        splits[split] = one_against_rest(
            arrays[split].reshape(-1, height, width, 1),
            np.repeat(np.arange(kinds), count),
            range(kinds),
            positives=count,
            negatives=round(count / (kinds - 1)),
            rng=np.random.default_rng([SEED, number]),
        )
    return ImageData(CLASSES, tuple(("other", kind) for kind in CLASSES), splits), source


@lru_cache(maxsize=1)
def _arrays() -> tuple[dict[str, NDArray[np.uint8]], sources.Source]:
    """Each split's images, (kinds, images, 28, 28); read-only, as all callers share them."""
    arrays, source = sources.embedded("mnist")
    for array in arrays.values():
        array.flags.writeable = False
    return arrays, source
