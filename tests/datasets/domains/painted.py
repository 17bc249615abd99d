"""A data set of small made-up images."""

import numpy as np
from PIL import Image

from mtlgym.datasets.domains.image_lists import find

COLOURS = {  # of three images of the classes a, a and b
    "art": [(10, 20, 30), (40, 50, 60), (70, 80, 90)],
    "product": [(1, 2, 3), (4, 5, 6), (7, 8, 9)],
}


def paint(path, colour, size=(6, 5)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def painted(tmp_path):
    """A folder of two domains."""
    for domain, colours in COLOURS.items():
        for name, colour in zip(("a/1", "a/2", "b/1"), colours, strict=True):
            paint(tmp_path / domain / f"{name}.png", colour)
    return tmp_path


def domains_of(folder):
    return {domain: find(folder, [domain]) for domain in COLOURS}


def kept(place, domain):
    with np.load(place / f"{domain}.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
