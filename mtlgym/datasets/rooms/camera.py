"""A pinhole camera in a room: the face that every pixel shows, and the planes of the faces.

The camera's frame has x to the right, y down and z along the optical axis, so that a pixel at
column u and row v of the image plane z = 1 sees the points z (u, v, 1). The depth is z.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtlgym.datasets.rooms.boxes import Box, rotation
from mtlgym.datasets.rooms.layout import Room

FOCAL = 0.81  # focal length in image widths, as the Kinect's colour camera: 63 degrees across
NEAR = 0.05  # metres; a box that reaches closer is looked for all over the image


@dataclass(frozen=True, eq=False)
class Faces:
    """The planes n.P = c of a room's faces, in the camera's frame.

    The room's own are 0 to 5 (-x, +x, -y, +y, floor, ceiling); box b has 6 + 3 b + axis: of two
    opposite faces of a box the camera sees one at most.

    Attributes:
        normals: (faces, 3) unit vectors n towards the side of the camera.
        offsets: (faces,) c, minus the camera's distance in metres.
    """

    normals: NDArray[np.float64]
    offsets: NDArray[np.float64]


def image_plane(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Columns u (1, width) and rows v (height, 1) of the middles of the pixels."""
    u = (np.arange(width, dtype=float) + 0.5 - width / 2) / (FOCAL * width)
    v = (np.arange(height, dtype=float) + 0.5 - height / 2) / (FOCAL * width)
    return u[None, :], v[:, None]


def depths(
    faces: Faces, face: NDArray[np.uint8], u: NDArray[np.float64], v: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The depth of every pixel on the plane of its face: z = c / n.(u, v, 1)."""
    nx, ny, nz = faces.normals.T
    return faces.offsets[face] / (nx[face] * u + ny[face] * v + nz[face])


def cast(room: Room, height: int, width: int) -> tuple[NDArray[np.uint8], Faces]:
    """The face that each pixel sees, (height, width), and the planes of the faces."""
    axes = camera_axes(room)
    u, v = image_plane(height, width)
    whole = Box("wall", room.walls[0], room.size / 2, room.size / 2)
    views = [_View(each, room.eye, axes) for each in (whole, *room.boxes)]
    face, depth = views[0].inside(u, v)
    for index, view in enumerate(views[1:]):
        rows, columns = view.window(u[0], v[:, 0])
        part = depth[rows, columns]
        if part.size:
            near, axis = view.outside(u[:, columns], v[rows])
            hit = near < part
            part[hit] = near[hit]  # both are views of the whole image
            face[rows, columns][hit] = (6 + 3 * index + axis)[hit]
    planes = [views[0].planes_inside(), *(view.planes_outside() for view in views[1:])]
    normals, offsets = zip(*planes, strict=True)
    return face, Faces(np.concatenate(normals), np.concatenate(offsets))


def camera_axes(room: Room) -> NDArray[np.float64]:
    """(3, 3) columns: the camera's right, down and forward in the room's frame."""
    sin, cos = np.sin(room.yaw), np.cos(room.yaw)
    dip, level = np.sin(room.pitch), np.cos(room.pitch)
    right, down = [cos, sin, 0.0], [dip * sin, -dip * cos, -level]
    return np.array([right, down, [-sin * level, cos * level, -dip]]).T


class _View:
    """One box as the camera sees it; rays are eye + z (u, v, 1) in the box's own frame."""

    def __init__(self, each: Box, eye: NDArray[np.float64], axes: NDArray[np.float64]) -> None:
        turn = rotation(-each.yaw)
        self.half = each.half
        self.eye = turn @ (eye - each.centre)
        self.axes = turn @ axes  # rows: the box's axes in the camera's frame

    def _bounds(self, u: NDArray[np.float64], v: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """For each axis the depths (2, height, width) of its lower and upper plane."""
        bounds = []
        for eye, half, (along_u, along_v, along_z) in zip(
            self.eye, self.half, self.axes, strict=True
        ):
            with np.errstate(divide="ignore"):  # a ray may be parallel to a plane
                inverse = 1.0 / (along_u * u + along_v * v + along_z)
            bounds.append(np.stack([(-half - eye) * inverse, (half - eye) * inverse]))
        return bounds

    def inside(
        self, u: NDArray[np.float64], v: NDArray[np.float64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """The face 2 axis + side where each ray leaves the box, and the depth there."""
        bounds = self._bounds(u, v)
        leave = np.stack([bound.max(axis=0) for bound in bounds])  # (3, height, width)
        axis = leave.argmin(axis=0)
        sides = np.stack([low < high for low, high in bounds])
        side = np.take_along_axis(sides, axis[None], axis=0)[0]
        return (2 * axis + side).astype(np.uint8), leave.min(axis=0)

    def outside(
        self, u: NDArray[np.float64], v: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Where each ray enters the box, infinite if it does not, and through which axis' face."""
        bounds = self._bounds(u, v)
        enter = [np.minimum(low, high) for low, high in bounds]
        leave = [np.maximum(low, high) for low, high in bounds]
        near = np.maximum(np.maximum(enter[0], enter[1]), enter[2])
        far = np.minimum(np.minimum(leave[0], leave[1]), leave[2])
        axis = np.where(near == enter[0], 0, np.where(near == enter[1], 1, 2)).astype(np.uint8)
        near[(near >= far) | (near <= 0)] = np.inf
        return near, axis

    def window(self, u: NDArray[np.float64], v: NDArray[np.float64]) -> tuple[slice, slice]:
        """Rows and columns outside of which no ray meets the box."""
        signs = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)])
        corners = (signs * self.half - self.eye) @ self.axes  # in the camera's frame
        z = corners[:, 2]
        if z.max() <= 0:
            return slice(0), slice(0)
        if z.min() < NEAR:
            return slice(None), slice(None)
        across, down = corners[:, 0] / z, corners[:, 1] / z
        columns = np.searchsorted(u, [across.min(), across.max()])
        rows = np.searchsorted(v, [down.min(), down.max()])
        return slice(*rows), slice(*columns)

    def planes_inside(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of all six faces, seen from inside."""
        signs = np.array([-1.0, 1.0])[:, None]
        normals = np.stack([-s * self.axes[k] for k in range(3) for s in signs])
        offsets = [s * self.eye[k] - self.half[k] for k in range(3) for s in (-1.0, 1.0)]
        return normals, np.array(offsets)

    def planes_outside(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of the face of each axis that is on the camera's side."""
        signs = np.where(self.eye < 0, -1.0, 1.0)
        return signs[:, None] * self.axes, self.half - signs * self.eye
