"""Rooms: walls, a camera, and furniture that does not stand in each other's way."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mtlgym.datasets.rooms import furniture, things
from mtlgym.datasets.rooms.boxes import Box, Paint, fabric, hsv, moved, plain, wood
from mtlgym.datasets.rooms.furniture import Maker, Piece

RNG = np.random.Generator
MOST_BOXES = 80  # a face's index, 6 for the room and 3 a box, is one byte
TRIES = 12
VIEW = 0.62  # radians to each side of the view's middle where things are put

# What stands in each kind of room, and how probably.
ROOMS: tuple[tuple[tuple[Maker, float], ...], ...] = (
    (  # bedroom
        (furniture.bed, 1.0),
        (furniture.cabinet, 0.9),
        (furniture.wardrobe, 0.6),
        (furniture.tv_bench, 0.4),
        (furniture.chair, 0.5),
    ),
    (  # living room
        (furniture.sofa, 1.0),
        (furniture.coffee_table, 0.9),
        (furniture.sofa, 0.7),
        (furniture.tv_bench, 0.8),
        (furniture.bookshelf, 0.4),
    ),
    (  # study
        (furniture.desk, 1.0),
        (furniture.bookshelf, 0.8),
        (furniture.sofa, 0.4),
        (furniture.cabinet, 0.5),
        (furniture.bookshelf, 0.4),
    ),
    (  # dining room
        (furniture.dining_table, 1.0),
        (furniture.cabinet, 0.8),
        (furniture.bookshelf, 0.4),
        (furniture.chair, 0.4),
        (furniture.wardrobe, 0.3),
    ),
)
ANYWHERE: tuple[tuple[Maker, float], ...] = (
    (furniture.floor_lamp, 0.4),
    (furniture.bag, 0.6),
    (furniture.bag, 0.5),
)
HANGING = (
    (things.window, 0.8),
    (things.wall_television, 0.15),
    (things.picture, 0.8),
    (things.door, 0.4),
    (things.picture, 0.6),
    (things.window, 0.4),
)


@dataclass(frozen=True, eq=False)
class Room:
    """A furnished room and its camera.

    Attributes:
        size: (3,) metres; the room spans [0, size].
        walls: paint of the room's faces, in the order -x, +x, -y, +y, floor, ceiling.
        boxes: the furniture and what hangs on the walls.
        eye: (3,) where the camera is.
        yaw: where it looks, counter-clockwise from +y, radians.
        pitch: how far down it looks, radians.
        lamp: (3,) where the light is.
    """

    size: NDArray[np.float64]
    walls: tuple[Paint, ...]
    boxes: list[Box]
    eye: NDArray[np.float64]
    yaw: float
    pitch: float
    lamp: NDArray[np.float64]


@dataclass(eq=False)
class FloorPlan:
    """A room's ground plan, to which pieces are added.

    Attributes:
        rng: the generator of all random draws.
        size: (3,) of the room, metres.
        eye: (3,) where the camera is.
        yaw: the direction it looks in.
        boxes: the boxes placed so far.
    """

    rng: RNG
    size: NDArray[np.float64]
    eye: NDArray[np.float64]
    yaw: float
    boxes: list[Box] = field(default_factory=list)
    _taken: list[NDArray[np.float64]] = field(default_factory=list)  # (2, 2): corner, corner
    _hung: list[tuple[int, float, float]] = field(default_factory=list)  # wall, from, to

    def put(self, piece: Piece) -> None:
        """Stand the piece where it is in view and hits nothing; leave it out if none is found."""
        for _ in range(TRIES):
            if piece.by_wall:
                x, y, yaw = self._by_wall(int(self.rng.integers(4)), piece.width / 2)
            else:
                x, y = self.rng.uniform(0.3, self.size[:2] - 0.3)
                yaw = self.rng.uniform(-np.pi, np.pi)
            rectangle = _footprint(x, y, yaw, piece)
            if self._fits(rectangle):
                self._taken.append(rectangle)
                self._add(moved(piece.boxes, x, y, yaw=yaw))
                return

    def hang(self, boxes: list[Box], width: float, height: float) -> None:
        """Hang the boxes on a wall where it is in view and free; else leave them out."""
        for _ in range(TRIES):
            wall = int(self.rng.integers(4))
            x, y, yaw = self._by_wall(wall, width / 2)
            along = (x, y)[wall % 2]
            low, high = along - width / 2 - 0.05, along + width / 2 + 0.05
            free = all(w != wall or high < a or b < low for w, a, b in self._hung)
            if free and self._in_view(np.array([x, y])):
                self._hung.append((wall, low, high))
                self._add(moved(boxes, x, y, height, yaw))
                return

    def _add(self, boxes: list[Box]) -> None:
        if len(self.boxes) + len(boxes) <= MOST_BOXES:
            self.boxes += boxes

    def _by_wall(self, wall: int, half: float) -> tuple[float, float, float]:
        """A place along a wall for something that wide: x, y and the turn that faces the room."""
        length, far = self.size[wall % 2], self.size[1 - wall % 2] * (wall < 2)
        along = self.rng.uniform(min(half, length / 2), max(length - half, length / 2))
        x, y = (along, far) if wall % 2 == 0 else (far, along)
        return x, y, (np.pi, np.pi / 2, 0.0, -np.pi / 2)[wall]

    def _fits(self, rectangle: NDArray[np.float64]) -> bool:
        low, high = rectangle
        inside = (low > -0.01).all() and (high < self.size[:2] + 0.01).all()
        apart = all((high < a - 0.02).any() or (b + 0.02 < low).any() for a, b in self._taken)
        away = np.linalg.norm(np.clip(self.eye[:2], low, high) - self.eye[:2]) > 0.5
        return bool(inside and apart and away and self._in_view((low + high) / 2))

    def _in_view(self, place: NDArray[np.float64]) -> bool:
        x, y = place - self.eye[:2]
        angle = np.arctan2(-x, y) - self.yaw
        return bool(
            np.hypot(x, y) > 0.8 and abs(np.remainder(angle + np.pi, 2 * np.pi) - np.pi) < VIEW
        )


def furnish(rng: RNG) -> Room:
    """Draw a random room."""
    size = rng.uniform([3.0, 3.2, 2.4], [5.5, 6.0, 3.0])
    eye = size * rng.uniform([0.2, 0.06, 0], [0.8, 0.15, 0]) + [0, 0, rng.uniform(1.1, 1.7)]
    aim = size[:2] * rng.uniform([0.2, 0.6], [0.8, 0.9]) - eye[:2]
    plan = FloorPlan(rng, size, eye, float(np.arctan2(-aim[0], aim[1])))
    for hanging, probability in HANGING:
        if rng.random() < probability:
            plan.hang(*hanging(rng))
    for maker, probability in (*ROOMS[rng.integers(len(ROOMS))], *ANYWHERE):
        if rng.random() < probability:
            plan.put(maker(rng))
    lamp = size * rng.uniform([0.25, 0.25, 0.88], [0.75, 0.75, 0.95])
    pitch = rng.uniform(-0.05, 0.32)
    return Room(size, _walls(rng), plan.boxes, eye, plan.yaw, pitch, lamp)


def _walls(rng: RNG) -> tuple[Paint, ...]:
    wall = plain(hsv(rng.random(), rng.uniform(0, 0.25), rng.uniform(0.7, 0.95)))
    if rng.random() < 0.25:  # striped wallpaper
        waves = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]) * rng.uniform(1, 4)
        red, green, blue = wall.first
        wall = Paint(wall.first, (0.85 * red, 0.85 * green, 0.85 * blue), waves)
    other = wall if rng.random() < 0.8 else plain(hsv(rng.random(), 0.3, 0.7))
    floor = wood(rng, (0.4, 0.6)) if rng.random() < 0.5 else fabric(rng, (0.2, 0.45))
    ceiling = plain(hsv(rng.random(), rng.uniform(0, 0.05), rng.uniform(0.9, 1.0)), glow=0.4)
    return wall, wall, wall, other, floor, ceiling


def _footprint(x: float, y: float, yaw: float, piece: Piece) -> NDArray[np.float64]:
    """The corners of the upright rectangle about the piece's place."""
    corners = np.array([[-0.5, 0], [0.5, 0], [-0.5, 1], [0.5, 1]]) * [piece.width, piece.length]
    cos, sin = np.cos(yaw), np.sin(yaw)
    turned = corners @ np.array([[cos, sin], [-sin, cos]]) + [x, y]
    return np.stack([turned.min(axis=0), turned.max(axis=0)])
