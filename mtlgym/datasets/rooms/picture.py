"""What a camera records of the faces that it sees: colours, and what it misses."""

import numpy as np
from numpy.typing import NDArray

from mtlgym.datasets.rooms.boxes import rotation
from mtlgym.datasets.rooms.camera import FOCAL, Faces, camera_axes
from mtlgym.datasets.rooms.layout import Room

RNG = np.random.Generator
VOID, NO_DEPTH, NO_NORMAL = 1, 2, 4  # bits of what is unknown of a pixel
PROJECTOR = 0.075  # metres from the depth sensor's projector to its camera


def paint(
    room: Room,
    faces: Faces,
    face: NDArray[np.uint8],
    points: NDArray[np.float32],
    rng: RNG,
) -> NDArray[np.uint8]:
    """The image (height, width, 3): paint under one lamp, with the noise of a sensor.

    `points` (3, height, width) are what the pixels see, in the camera's frame.
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
    """What is unknown of each pixel (height, width), as bits, as with a real depth camera.

    The label is void in patches along the borders of things, and on a thing now and then. The
    depth is missing where the projector's light does not reach, in blobs, and on glass now and
    then; the normal also in the pixels around.
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
