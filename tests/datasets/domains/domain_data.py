"""Small domains of three classes, and files of them."""

import numpy as np
from scipy.io import savemat

from mtlgym.datasets.domains.domains import Domains

CLASSES = ("cup", "bike", "mouse")
WIDTH = 3


def features(count, seed=0):
    return np.random.default_rng(seed).random((count, WIDTH)).astype(np.float32)


def domains(counts, groups=None):
    """Domains of so many samples a class, {name: (samples of class 0, of class 1, ...)}."""
    labels = [np.repeat(np.arange(len(each)), each) for each in counts.values()]
    classes = tuple(f"class_{each}" for each in range(len(next(iter(counts.values())))))
    x = tuple(features(len(each), at) for at, each in enumerate(labels))
    return Domains(tuple(counts), classes, x, tuple(labels), groups)


def write(path, x, labels):
    """The samples as a file of features of the format that its suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".mat":
        savemat(path, {"feas": x, "label": labels[:, None].astype(np.uint8)})
    elif path.suffix == ".npz":
        np.savez(path, features=x, labels=labels)
    else:
        np.save(path, x)
        np.save(path.with_name(f"{path.stem}_labels.npy"), labels)
    return path
