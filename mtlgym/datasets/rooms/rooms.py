"""Rooms: rendered views of furnished rooms, every pixel's class, depth and normal exact.

Boxes in a room before a pinhole camera; the 13 classes of NYUv2, tied to size, shape, colour and
place. Rooms stand in for NYUv2 where its files are missing; they are not that benchmark.
"""

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mtlgym.datasets.frames import CLASSES, Frame
from mtlgym.datasets.rooms.boxes import rotation
from mtlgym.datasets.rooms.camera import FOCAL, Faces, camera_axes, cast, depths, image_plane
from mtlgym.datasets.rooms.layout import Room, furnish

RNG = np.random.Generator
VOID, NO_DEPTH, NO_NORMAL = 1, 2, 4  # bits of what is unknown about a pixel
PROJECTOR = 0.075  # metres from the depth sensor's projector to its camera


def paint(
    room: Room,
    faces: Faces,
    face: NDArray[np.uint8],
    points: NDArray[np.float32],
    rng: RNG,
) -> NDArray[np.uint8]:
    """The image (height, width, 3): paint under one lamp, with the noise of a sensor.

    `points` (3, height, width) are the points that the pixels show, in the camera's frame.
    """
    colours, waves, phases, glow = _paints(room)
    a, b = (
        sum(waves[:, i, k][face] * points[k] for k in range(3)) + phases[:, i][face] for i in (0, 1)
    )
    pattern = np.clip(2 * np.cos(2 * np.pi * a) * np.cos(2 * np.pi * b), -1, 1)
    share = (0.5 + 0.5 * pattern)[..., None]
    albedo = colours[face, 0] + share * (colours[face, 1] - colours[face, 0])
    own = glow[face][..., None]
    light = own + (1 - own) * _light(room, faces, face, points)[..., None]
    tint = rng.uniform(0.92, 1.08, 3) * rng.uniform(0.8, 1.15)
    noise = rng.standard_normal(albedo.shape, dtype=np.float32) * rng.uniform(0.01, 0.03)
    image = np.clip(albedo * light * tint.astype(np.float32), 0, 1) ** 0.8 + noise
    return (255 * np.clip(image, 0, 1) + 0.5).astype(np.uint8)


def unknown(
    room: Room, faces: Faces, face: NDArray[np.uint8], depth: NDArray[np.float64], rng: RNG
) -> NDArray[np.uint8]:
    """What is unknown about each pixel (height, width), as bits, as with a real depth camera.

    The label is void in patches along the borders of objects, and on some objects. The depth is
    missing where the projector's light does not reach, in blobs, and on some glass; the normal
    also in the pixels around.
    """
    boxes = np.maximum(face.astype(np.int16) - 6, -3) // 3  # -1 for the room itself
    kinds = np.array([each.kind for each in room.boxes] + ["wall"])  # -1 is the last
    glass = np.isin(kinds, ["window", "tv"]) & (rng.random(len(kinds)) < 0.25)
    nameless = (kinds == "objects") & (rng.random(len(kinds)) < 0.15)
    void = (_borders(boxes) & (_patches(rng, face.shape) < 0.4)) | nameless[boxes]
    no_depth = _shadows(depth) | _blobs(rng, face.shape) | glass[boxes]
    no_normal = _grown(no_depth)
    return (VOID * void + NO_DEPTH * no_depth + NO_NORMAL * no_normal).astype(np.uint8)


def _paints(room: Room) -> tuple[NDArray[np.float32], ...]:
    """Of each face: two colours, two wave vectors and phases in the camera's frame, its glow."""
    axes = camera_axes(room)
    owners = [(p, np.eye(3), np.zeros(3)) for p in room.walls]
    for each in room.boxes:
        owners += [(each.paint, rotation(-each.yaw), each.centre)] * 3
    colours = np.array([(p.first, p.second) for p, _, _ in owners], np.float32)
    turned = [p.waves @ turn for p, turn, _ in owners]  # in the room's frame
    waves = np.array([w @ axes for w in turned], np.float32)
    phases = np.array(
        [w @ (room.eye - c) for w, (_, _, c) in zip(turned, owners, strict=True)], np.float32
    )
    return colours, waves, phases, np.array([p.glow for p, _, _ in owners], np.float32)


def _light(
    room: Room, faces: Faces, face: NDArray[np.uint8], points: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Brightness (height, width): by Lambert's law from the lamp and a flash at the camera.

    Some light comes from everywhere, more of it from the left and from above.
    """
    axes = camera_axes(room)
    lamp = ((room.lamp - room.eye) @ axes).astype(np.float32)
    away = sum((lamp[k] - points[k]) ** 2 for k in range(3))  # squared distance
    facing = np.maximum(faces.normals @ lamp - faces.offsets, 0).astype(np.float32)  # n.(lamp - P)
    ambient = 0.3 + 0.1 * faces.normals @ axes[2] - 0.12 * faces.normals[:, 0]
    far = sum(points[k] ** 2 for k in range(3))
    flash = 0.9 * (-faces.offsets).astype(np.float32)[face] / (np.sqrt(far) * (1 + far / 8))
    lit = 1.4 * facing[face] / (np.sqrt(away) * (1.5 + away / 2.5))
    return ambient.astype(np.float32)[face] + lit + flash


def _borders(parts: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Pixels whose right or lower neighbour is of another part."""
    border = np.zeros(parts.shape, bool)
    border[:, :-1] |= parts[:, :-1] != parts[:, 1:]
    border[:-1] |= parts[:-1] != parts[1:]
    return border


def _patches(rng: RNG, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """A field in [0, 1] that is constant in each of 18 x 24 rectangles."""
    field = rng.random((18, 24))
    rows, columns = (np.arange(n) * m // n for n, m in zip(shape, field.shape, strict=True))
    return field[rows[:, None], columns]


def _shadows(depth: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where something nearer stands between the point and the projector, to the left of it."""
    width = depth.shape[1]
    shift = PROJECTOR * FOCAL * width / depth  # pixels by which light lands beside its place
    shadow = np.zeros(depth.shape, bool)
    for k in range(1, min(width, int(shift.max() - shift.min()) + 1)):
        shadow[:, k:] |= shift[:, :-k] - shift[:, k:] > k
    return shadow


def _blobs(rng: RNG, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Up to five ellipses."""
    height, width = shape
    inside = np.zeros(shape, bool)
    y, x = np.arange(height)[:, None] / height, np.arange(width) / width
    for _ in range(rng.integers(6)):
        (a, b), (r, s) = rng.random(2), rng.uniform(0.01, 0.07, 2)
        inside |= ((y - a) / r) ** 2 + ((x - b) / s) ** 2 < 1
    return inside


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask and the pixels beside it in a row or column."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


@dataclass(frozen=True, eq=False)
class View:
    """A rendered view, small in memory: 5 bytes a pixel.

    Attributes:
        image: (height, width, 3) red, green, blue, one byte each.
        face: (height, width) the face that the pixel shows.
        gaps: (height, width) what is unknown about the pixel: `VOID`, `NO_DEPTH`, `NO_NORMAL`.
        labels: (faces,) index in `CLASSES` of each face.
        faces: the planes of the faces.
    """

    image: NDArray[np.uint8]
    face: NDArray[np.uint8]
    gaps: NDArray[np.uint8]
    labels: NDArray[np.int64]
    faces: Faces


class Rooms:
    """An unlimited sequence of views of rooms; view i depends on (seed, i) alone.

    Each is rendered when it is first read, and kept.
    """

    def __init__(self, height: int, width: int, seed: int = 0) -> None:
        """Views of this size; `Rooms` of other sizes and the same seed show the same rooms."""
        self.height = height
        self.width = width
        self.seed = seed
        self._views: dict[int, View] = {}
        self._plane = image_plane(height, width)

    def view(self, index: int) -> View:
        """The view of that index, at least 0."""
        if index not in self._views:
            self._views[index] = render(self.height, self.width, self.seed, index)
        return self._views[index]

    def frame(self, index: int) -> Frame:
        """The view as a frame: normals have x to the right, y down, z away from the camera."""
        view = self.view(index)
        label = view.labels[view.face]
        label[(view.gaps & VOID) > 0] = -1
        depth = depths(view.faces, view.face, *self._plane).astype(np.float32)
        depth[(view.gaps & NO_DEPTH) > 0] = 0
        normal = view.faces.normals.astype(np.float32)[view.face]
        normal[(view.gaps & NO_NORMAL) > 0] = 0
        image = view.image.astype(np.float32) / np.float32(255)
        return Frame(image, label, depth, normal)

    def sha256(self) -> str:
        """A digest of the first view, which stands for all: they come from the same code."""
        view, digest = self.view(0), hashlib.sha256()
        digest.update(f"{self.height} {self.width} {self.seed}".encode())
        for array in (view.image, view.face, view.gaps, view.labels):
            digest.update(array.tobytes())
        return digest.hexdigest()


@cache
def rooms(height: int, width: int, seed: int = 0) -> Rooms:
    """The views of this size and seed, one set for the whole process."""
    return Rooms(height, width, seed)


def render(height: int, width: int, seed: int, index: int) -> View:
    """Furnish the room of that seed and index, and render a view of it."""
    rng = np.random.default_rng([seed, index])
    room = furnish(rng)
    face, faces = cast(room, height, width)
    u, v = image_plane(height, width)
    depth = depths(faces, face, u, v)
    z = depth.astype(np.float32)
    points = np.stack([z * u.astype(np.float32), z * v.astype(np.float32), z])
    kinds = ["wall"] * 4 + ["floor", "ceiling"]
    kinds += [each.kind for each in room.boxes for _ in range(3)]
    return View(
        image=paint(room, faces, face, points, rng),
        face=face,
        gaps=unknown(room, faces, face, depth, rng),
        labels=np.array([CLASSES.index(kind) for kind in kinds]),
        faces=faces,
    )
