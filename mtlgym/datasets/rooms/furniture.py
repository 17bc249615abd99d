"""Pieces of furniture, composed of boxes.

A piece stands on the floor z = 0 with its back at y = 0, facing +y, its middle at x = 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mtlgym.datasets.rooms.boxes import Box, Paint, board, box, fabric, hsv, moved, plain, wood
from mtlgym.datasets.rooms.things import book_row, clutter, lamp, television, trinket

RNG = np.random.Generator


@dataclass(frozen=True, eq=False)
class Piece:
    """Boxes that belong together.

    Attributes:
        boxes: its boxes.
        width: along x, metres.
        length: along y, metres.
        by_wall: whether its back belongs to a wall.
    """

    boxes: list[Box]
    width: float
    length: float
    by_wall: bool = True


Maker = Callable[[RNG], Piece]


def bed(rng: RNG) -> Piece:
    """A frame with a mattress, a head board and pillows."""
    w, length, height = rng.uniform([0.9, 1.9, 0.4], [1.9, 2.1, 0.6])
    cloth, pillow = fabric(rng, (0.5, 0.7)), plain(hsv(rng.random(), 0.1, 0.95))
    frame = wood(rng, (0.5, 0.8))
    boxes = [
        box("bed", frame, (-w / 2, w / 2), (0, length), (0, height / 2)),
        box("bed", cloth, (0.03 - w / 2, w / 2 - 0.03), (0.06, length), (height / 2, height)),
        box("bed", frame, (-w / 2, w / 2), (0, 0.06), (0, rng.uniform(0.7, 1.1))),
    ]
    for x in (-w / 4, w / 4) if w > 1.3 else (0.0,):
        place = (x - 0.3, x + 0.3), (0.08, 0.45), (height, height + 0.12)
        boxes.append(box("bed", pillow, *place))
    return Piece(boxes, w, length)


def sofa(rng: RNG) -> Piece:
    """A wide seat with a back rest and two arms; the narrow ones are armchairs."""
    w, deep, seat, back = rng.uniform([0.9, 0.8, 0.38, 0.72], [2.2, 0.95, 0.48, 0.95])
    arm, rest, cloth = *rng.uniform([0.12, 0.2], [0.22, 0.3]), fabric(rng, (-0.15, 0.02))
    boxes = [
        box("sofa", cloth, (-w / 2, w / 2), (0, deep), (0.04, seat - 0.12)),
        box("sofa", cloth, (-w / 2, w / 2), (0, rest), (0.04, back)),
    ]
    for side in (-1, 1):
        x = sorted([side * w / 2, side * (w / 2 - arm)])
        boxes.append(box("sofa", cloth, (x[0], x[1]), (0, deep), (0.04, seat + 0.15)))
    edges = np.linspace(arm - w / 2, w / 2 - arm, 2 + (w > 1.3) + (w > 1.9))
    for left, right in pairwise(edges):
        place = (left + 0.01, right - 0.01), (rest, deep + 0.02), (seat - 0.12, seat)
        boxes.append(box("sofa", cloth, *place))
    return Piece(boxes, w, deep)


def chair(rng: RNG) -> Piece:
    """A seat on four legs with a back."""
    w, seat, back = rng.uniform([0.4, 0.42, 0.8], [0.5, 0.48, 1.05])
    frame, cover = wood(rng, (0.2, 0.5)), fabric(rng, (0.03, 0.17))
    boxes = [
        *legs("chair", frame, (0.0, 0.0, w, w), seat - 0.04),
        box("chair", cover, (-w / 2, w / 2), (0, w), (seat - 0.04, seat)),
        box("chair", frame, (-w / 2, w / 2), (0, 0.04), (seat + 0.12, back)),
    ]
    return Piece(boxes, w, w, by_wall=False)


def legs(
    kind: str,
    paint: Paint,
    place: tuple[float, float, float, float],
    height: float,
    thick: float = 0.04,
) -> list[Box]:
    """Four legs under the corners of the rectangle (middle x, lower y, width, length)."""
    x, y, w, length = place
    corners = [(a, b) for a in (x - w / 2, x + w / 2 - thick) for b in (y, y + length - thick)]
    return [box(kind, paint, (a, a + thick), (b, b + thick), (0, height)) for a, b in corners]


def table(rng: RNG, width: float, length: float, height: float) -> list[Box]:
    """A top on four legs, with things on it."""
    paint, thick = board(rng, (0.6, 0.95)), rng.uniform(0.03, 0.06)
    return [
        *legs("table", paint, (0.0, 0.0, width, length), height - thick, 0.06),
        box("table", paint, (-width / 2, width / 2), (0, length), (height - thick, height)),
        *clutter(rng, width, length, height, int(rng.integers(0, 4))),
    ]


def coffee_table(rng: RNG) -> Piece:
    """A low table."""
    w, length, height = rng.uniform([0.7, 0.5, 0.32], [1.3, 0.8, 0.48])
    return Piece(table(rng, w, length, height), w, length, by_wall=False)


def dining_table(rng: RNG) -> Piece:
    """A table with chairs on two sides."""
    w, length, height = rng.uniform([0.9, 0.8, 0.7], [1.7, 1.0, 0.78])
    boxes, gap = table(rng, w, length, height), rng.uniform(0.1, 0.35)
    boxes, seat = moved(boxes, y=gap + 0.3), chair(rng).boxes
    for x in (-w / 4, w / 4) if w > 1.2 else (0.0,):
        if rng.random() < 0.8:
            boxes += moved(seat, x, rng.uniform(0, gap), yaw=rng.uniform(-0.2, 0.2))
        if rng.random() < 0.8:
            y = length + gap + 0.6 + rng.uniform(0, gap)
            boxes += moved(seat, x, y, yaw=np.pi + rng.uniform(-0.2, 0.2))
    return Piece(boxes, w, length + 2 * gap + 0.6, by_wall=False)


def desk(rng: RNG) -> Piece:
    """A table by the wall with a screen or books, and a chair before it."""
    w, length, height = rng.uniform([1.0, 0.55, 0.7], [1.6, 0.75, 0.78])
    boxes = table(rng, w, length, height)
    if rng.random() < 0.6:
        screen = television(rng, rng.uniform(0.45, 0.65))
        boxes += moved(screen, rng.uniform(-0.2, 0.2), 0.12, height)
    else:
        boxes += book_row(rng, (-w / 2, rng.uniform(-0.2, w / 2)), (0.02, 0.25), height)
    out = length + rng.uniform(0.1, 0.6)
    boxes += moved(chair(rng).boxes, rng.uniform(-0.2, 0.2), out, yaw=np.pi + rng.normal() / 4)
    return Piece(boxes, w, out)


def cabinet(rng: RNG) -> Piece:
    """A chest with doors or drawers and things on it."""
    w, deep, height = rng.uniform([0.45, 0.4, 0.45], [1.4, 0.6, 1.1])
    boxes = chest(rng, w, deep, height)
    return Piece(boxes + clutter(rng, w, deep, height, int(rng.integers(0, 4))), w, deep)


def wardrobe(rng: RNG) -> Piece:
    """A tall cupboard."""
    w, deep, height = rng.uniform([0.8, 0.5, 1.7], [1.8, 0.65, 2.2])
    return Piece(chest(rng, w, deep, height), w, deep)


def chest(rng: RNG, width: float, length: float, height: float) -> list[Box]:
    """A body with one to three fronts side by side that stand out of it."""
    body = board(rng, (0.25, 0.55))
    front = body if rng.random() < 0.5 else board(rng, (0.25, 0.55))
    boxes = [box("furniture", body, (-width / 2, width / 2), (0, length), (0, height))]
    edges = np.linspace(-width / 2, width / 2, int(rng.integers(2, 5)))
    for left, right in pairwise(edges):
        face = (left + 0.015, right - 0.015), (length, length + 0.02), (0.08, height - 0.03)
        boxes.append(box("furniture", front, *face))
    return boxes


def tv_bench(rng: RNG) -> Piece:
    """A low chest with a television on it."""
    w, deep, height = rng.uniform([1.0, 0.4, 0.35], [1.7, 0.5, 0.6])
    screen = television(rng, rng.uniform(0.7, min(1.3, w)))
    boxes = chest(rng, w, deep, height) + moved(screen, rng.uniform(-0.1, 0.1), 0.15, height)
    return Piece(boxes, w, deep)


def bookshelf(rng: RNG) -> Piece:
    """Boards with rows of books, open to the front."""
    w, deep, height = rng.uniform([0.7, 0.25, 0.9], [1.3, 0.35, 2.0])
    paint = board(rng, (0.25, 0.55))
    boxes = [box("furniture", paint, (-w / 2, w / 2), (0, 0.03), (0, height))]
    boxes += [
        box("furniture", paint, (side, side + 0.03), (0, deep), (0, height))
        for side in (-w / 2, w / 2 - 0.03)
    ]
    levels = np.linspace(0.03, height - 0.03, max(3, round(height / 0.38)))
    boxes += [box("furniture", paint, (-w / 2, w / 2), (0, deep), (z, z + 0.03)) for z in levels]
    for z in levels[:-1]:
        start = 0.04 + rng.choice([0.0, 0.3]) * w
        boxes += book_row(rng, (start - w / 2, w / 2 - 0.04), (0.05, deep - 0.02), z + 0.03)
    return Piece(boxes, w, deep)


def floor_lamp(rng: RNG) -> Piece:
    """A tall lamp."""
    return Piece(moved(lamp(rng, rng.uniform(1.3, 1.7)), y=0.2), 0.4, 0.4)


def bag(rng: RNG) -> Piece:
    """A thing that lies on the floor."""
    return Piece(moved(trinket(rng), y=0.2), 0.4, 0.4, by_wall=False)
