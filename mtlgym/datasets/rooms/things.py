"""Small objects, and objects that hang on walls, composed of boxes."""

from itertools import pairwise

import numpy as np

from mtlgym.datasets.rooms.boxes import Box, Paint, Range, box, hsv, moved, plain, vivid, wood

RNG = np.random.Generator
PAGES = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])  # stripes along a row of books


def book_row(rng: RNG, x: Range, y: Range, z: float) -> list[Box]:
    """Books that stand side by side between these coordinates, in groups alike."""
    boxes, left = [], x[0]
    while left < x[1] - 0.05:
        right = min(x[1], left + rng.uniform(0.08, 0.35))
        paint = Paint(vivid(rng).first, vivid(rng).first, PAGES * rng.uniform(8, 20))
        deep = rng.uniform(0.13, 0.2)
        place = (left, right), (y[0], min(y[1], y[0] + deep)), (z, z + rng.uniform(0.18, 0.28))
        boxes.append(box("books", paint, *place))
        left = right + (rng.random() < 0.3) * rng.uniform(0.05, 0.3)
    return boxes


def book_pile(rng: RNG) -> list[Box]:
    """A few books that lie on each other, about the origin."""
    boxes, z = [], 0.0
    for _ in range(rng.integers(1, 5)):
        w, length, thick = rng.uniform([0.13, 0.18, 0.02], [0.2, 0.28, 0.06])
        place = (-w / 2, w / 2), (-length / 2, length / 2), (z, z + thick)
        boxes += moved([box("books", plain(vivid(rng).first), *place)], yaw=rng.uniform(-0.4, 0.4))
        z += thick
    return boxes


def trinket(rng: RNG) -> list[Box]:
    """An object of the size of a hand to that of a bag, about the origin."""
    w, length, height = rng.uniform(0.06, 0.3, 3)
    paint = vivid(rng) if rng.random() < 0.5 else plain(vivid(rng).first)
    place = (-w / 2, w / 2), (-length / 2, length / 2), (0, height)
    return moved([box("objects", paint, *place)], yaw=rng.uniform(0, np.pi))


def lamp(rng: RNG, height: float = 0.45) -> list[Box]:
    """A bright shade on a thin foot, about the origin."""
    w = rng.uniform(0.1, 0.18)
    shade = plain(hsv(0.12, rng.uniform(0.1, 0.4), 1.0), glow=rng.uniform(0.3, 0.8))
    return [
        box("objects", wood(rng), (-0.02, 0.02), (-0.02, 0.02), (0, height - 0.2)),
        box("objects", shade, (-w, w), (-w, w), (height - 0.2, height)),
    ]


def television(rng: RNG, width: float) -> list[Box]:
    """A dark, flat screen in a dark frame; its back at y = 0, facing +y, standing on z = 0."""
    height = 0.58 * width
    screen = Paint(hsv(0.6, 0.3, 0.03), hsv(0.6, 0.3, 0.14), PAGES[[1, 1]] + 0.3, glow=0.15)
    frame = plain(hsv(0.0, 0.0, rng.uniform(0.02, 0.15)))
    w = width / 2
    return [
        box("tv", frame, (-w, w), (0, 0.05), (0.04, height)),
        box("tv", screen, (0.03 - w, w - 0.03), (0.05, 0.06), (0.07, height - 0.03)),
        box("tv", frame, (-0.12, 0.12), (-0.05, 0.12), (0, 0.04)),
    ]


def clutter(rng: RNG, width: float, length: float, height: float, items: int) -> list[Box]:
    """Things on a top that begins at y = 0; its middle is at x = 0."""
    boxes: list[Box] = []
    for _ in range(items):
        thing = (book_pile, trinket, lamp)[rng.choice(3, p=[0.4, 0.45, 0.15])](rng)
        x = rng.uniform(-0.5, 0.5) * max(0.0, width - 0.3)
        y = length / 2 + rng.uniform(-0.5, 0.5) * max(0.0, length - 0.3)
        boxes += moved(thing, x, y, height)
    return boxes


def picture(rng: RNG) -> tuple[list[Box], float, float]:
    """A painting in a frame."""
    w, h = rng.uniform(0.15, 0.5), rng.uniform(0.15, 0.35)
    frame = wood(rng) if rng.random() < 0.6 else plain(hsv(0.0, 0.0, rng.uniform(0.05, 0.9)))
    sheet = vivid(rng, (0.5, 4.0))
    inner = (0.04 - w, w - 0.04), (0.03, 0.035), (0.04 - h, h - 0.04)
    return (
        [
            box("picture", frame, (-w, w), (0, 0.03), (-h, h)),
            box("picture", sheet, *inner),
        ],
        2 * w,
        rng.uniform(1.4, 1.7),
    )


def window(rng: RNG) -> tuple[list[Box], float, float]:
    """Bright panes between bars, the sky in them."""
    w, h = rng.uniform(0.4, 1.0), rng.uniform(0.45, 0.75)
    bars = plain(hsv(0.1, 0.05, rng.uniform(0.6, 0.95)))
    waves = np.array([[0.0, 0.0, rng.uniform(0.2, 1.5)], [rng.uniform(0, 1.5), 0.0, 0.0]])
    day = rng.uniform(0.5, 1.0)
    sky = Paint(hsv(0.58, 0.35, day), hsv(rng.uniform(0.2, 0.6), 0.1, day), waves, glow=0.85)
    boxes = [box("window", bars, (-w, w), (0, 0.02), (-h, h))]
    edges = np.linspace(-w, w, int(rng.integers(2, 4)))
    for left, right in pairwise(edges):
        pane = (left + 0.04, right - 0.04), (0.02, 0.025), (0.05 - h, h - 0.05)
        boxes.append(box("window", sky, *pane))
    return boxes, 2 * w, rng.uniform(1.45, 1.65)


def door(rng: RNG) -> tuple[list[Box], float, float]:
    """A door, which belongs to the wall."""
    w = rng.uniform(0.38, 0.5)
    leaf = wood(rng) if rng.random() < 0.6 else plain(hsv(0.1, 0.05, rng.uniform(0.6, 0.95)))
    return [box("wall", leaf, (-w, w), (0, 0.04), (-1.02, 1.02))], 2 * w, 1.02


def wall_television(rng: RNG) -> tuple[list[Box], float, float]:
    """A television on the wall."""
    width = rng.uniform(0.8, 1.4)
    return moved(television(rng, width)[:2], z=-0.29 * width), width, rng.uniform(1.2, 1.5)
