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
from mtlgym.datasets.rooms.camera import Faces, cast, depths, image_plane
from mtlgym.datasets.rooms.layout import furnish
from mtlgym.datasets.rooms.picture import NO_DEPTH, NO_NORMAL, VOID, paint, unknown


@dataclass(frozen=True, eq=False)
class View:
    """A rendered view, small in memory: 5 bytes a pixel.

    Attributes:
        image: (height, width, 3) red, green, blue, one byte each.
        face: (height, width) the face that the pixel sees.
        gaps: (height, width) what is unknown of it, bits of `rooms_picture`.
        labels: (faces,) index in `CLASSES` of each face.
        faces: the planes of the faces.
    """

    image: NDArray[np.uint8]
    face: NDArray[np.uint8]
    gaps: NDArray[np.uint8]
    labels: NDArray[np.int64]
    faces: Faces


class Rooms:
    """Views of rooms without end; view i depends on (seed, i) alone.

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
    """Furnish the room of that seed and index, and look into it."""
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
