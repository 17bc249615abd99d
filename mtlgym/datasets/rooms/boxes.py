"""Boxes, and the paint on them."""

import colorsys
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Range = tuple[float | int, float | int]
RGB = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Paint:
    """A mixture of two colours that changes from place to place.

    The share of the second colour is 1/2 + 1/2 clip(2 s), s = cos(2 pi a.x) cos(2 pi b.x), x in
    metres along the box's axes: stripes for b = 0, checks else.

    Attributes:
        first: red, green, blue in [0, 1].
        second: the same for the other colour.
        waves: (2, 3) the vectors a and b, cycles a metre.
        glow: brightness of its own, whatever light falls on it.
    """

    first: RGB
    second: RGB
    waves: NDArray[np.float64]
    glow: float = 0.0


@dataclass(frozen=True, eq=False)
class Box:
    """A cuboid that stands upright.

    Attributes:
        kind: name of its class.
        paint: colours of all its faces.
        centre: (3,) metres; the third axis points up.
        half: (3,) half of its lengths along its own axes.
        yaw: turn of its axes about the vertical, counter-clockwise, radians.
    """

    kind: str
    paint: Paint
    centre: NDArray[np.float64]
    half: NDArray[np.float64]
    yaw: float = 0.0


def box(kind: str, paint: Paint, x: Range, y: Range, z: Range) -> Box:
    """The box between these coordinates."""
    low, high = np.array([x, y, z], dtype=float).T
    return Box(kind, paint, (low + high) / 2, (high - low) / 2)


def moved(
    boxes: Iterable[Box], x: float = 0.0, y: float = 0.0, z: float = 0.0, yaw: float = 0.0
) -> list[Box]:
    """The boxes turned about the vertical through the origin, then shifted."""
    turn, shift = rotation(yaw), np.array([x, y, z])
    return [replace(b, centre=turn @ b.centre + shift, yaw=b.yaw + yaw) for b in boxes]


def rotation(yaw: float) -> NDArray[np.float64]:
    """The matrix of a counter-clockwise turn about the third axis."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def hsv(hue: float, saturation: float, value: float) -> RGB:
    """The colour of this hue, saturation and value, each in [0, 1]."""
    return colorsys.hsv_to_rgb(hue % 1.0, saturation, value)


def plain(colour: RGB, glow: float = 0.0) -> Paint:
    """One colour all over."""
    return Paint(colour, colour, np.zeros((2, 3)), glow)


def wood(rng: np.random.Generator, light: Range = (0.3, 0.8)) -> Paint:
    """Brown with a grain; `light` are the limits of its value."""
    hue, saturation, value = rng.uniform([0.05, 0.3, light[0]], [0.11, 0.65, light[1]])
    waves = np.zeros((2, 3))
    waves[0] = rng.uniform(3, 12) * rng.permutation([1.0, 0.1, 0.1])
    other = hsv(hue, saturation, value * rng.uniform(0.75, 0.95))
    return Paint(hsv(hue, saturation, value), other, waves)


def board(rng: np.random.Generator, light: Range = (0.3, 0.8)) -> Paint:
    """The paint of furniture: wood, or sometimes a shade from white to grey."""
    if rng.random() < 0.75:
        return wood(rng, light)
    return plain(hsv(rng.random(), rng.uniform(0, 0.15), rng.uniform(0.35, 0.95)))


def fabric(rng: np.random.Generator, hues: Range = (0.0, 1.0)) -> Paint:
    """Cloth, plain, striped or checked; one in six has a colour outside of those hues."""
    hue, saturation, value = rng.uniform([hues[0], 0.25, 0.3], [hues[1], 0.75, 0.9])
    hue += (rng.random() < 1 / 6) * rng.random()
    waves = rng.uniform(1, 7, (2, 1)) * np.eye(3)[rng.permutation(3)[:2]]
    waves[1] *= rng.random() < 0.5
    contrast = rng.choice([0.0, 0.1, 0.35])
    other = hsv(hue + rng.uniform(-0.1, 0.1), saturation, value * (1 - contrast))
    return Paint(hsv(hue, saturation, value), other, waves)


def vivid(rng: np.random.Generator, cycles: Range = (4.0, 20.0)) -> Paint:
    """Two strong colours in a pattern of that many cycles a metre."""
    colours = [hsv(rng.random(), *rng.uniform([0.4, 0.3], [0.95, 0.95])) for _ in range(2)]
    waves = rng.uniform(*cycles, (2, 1)) * np.eye(3)[rng.permutation(3)[:2]]
    waves[1] *= rng.random() < 0.5
    return Paint(colours[0], colours[1], waves)
