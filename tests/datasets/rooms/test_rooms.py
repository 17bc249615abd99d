import numpy as np
import pytest

from mtlgym.datasets.frames import CLASSES
from mtlgym.datasets.rooms.boxes import box, moved, plain, rotation
from mtlgym.datasets.rooms.camera import camera_axes, cast, depths, image_plane
from mtlgym.datasets.rooms.furniture import legs
from mtlgym.datasets.rooms.layout import MOST_BOXES, furnish
from mtlgym.datasets.rooms.rooms import Rooms, render, rooms

SIZE = 36, 48
SOME = range(12)


def room_of(index, seed=0):
    return furnish(np.random.default_rng([seed, index]))


@pytest.fixture(scope="module")
def small():
    return Rooms(*SIZE)


def trace(room, ray, eye):
    """Depth and outward normal (room's frame) of what one ray meets first, box by box."""
    nearest: tuple[float, np.ndarray] = (np.inf, np.zeros(3))
    shells = [(np.eye(3), room.size / 2, room.size / 2, True)]
    shells += [(rotation(b.yaw), b.centre, b.half, False) for b in room.boxes]
    for turn, centre, half, from_inside in shells:
        for axis in range(3):
            for side in (-1.0, 1.0):
                normal = side * turn[:, axis]
                slope = normal @ ray
                if (slope > 0) != from_inside or slope == 0:
                    continue
                z = (half[axis] - normal @ (eye - centre)) / slope
                place = turn.T @ (eye + z * ray - centre)
                others = [k for k in range(3) if k != axis]
                if 0 < z < nearest[0] and (abs(place[others]) <= half[others] + 1e-9).all():
                    nearest = (z, -normal if from_inside else normal)
    return nearest


@pytest.mark.parametrize("index", [0, 1, 2, 3])
def test_a_slow_tracer_of_single_rays_sees_the_same(index):
    room, (height, width) = room_of(index), SIZE
    face, faces = cast(room, height, width)
    u, v = image_plane(height, width)
    depth, axes = depths(faces, face, u, v), camera_axes(room)
    rng = np.random.default_rng(0)
    for row, column in rng.integers(SIZE, size=(150, 2)):
        ray = axes @ [u[0, column], v[row, 0], 1.0]
        z, normal = trace(room, ray, room.eye)
        assert depth[row, column] == pytest.approx(z, rel=1e-9)
        assert faces.normals[face[row, column]] == pytest.approx(normal @ axes, abs=1e-9)


def test_a_camera_before_a_wall_sees_what_is_worked_out_by_hand():
    room = room_of(0)
    cube = box("sofa", plain((1.0, 1.0, 1.0)), (1.5, 2.5), (2.5, 3.5), (0.5, 1.5))
    room = type(room)(
        np.array([4.0, 5.0, 3.0]), room.walls, [cube], np.array([2.0, 1, 1]), 0.0, 0.0, room.lamp
    )
    face, faces = cast(room, 101, 101)
    depth = depths(faces, face, *image_plane(101, 101))
    assert depth[50, 50] == pytest.approx(1.5)  # the cube's front
    assert face[50, 50] == 6 + 1
    assert faces.normals[face[50, 50]] == pytest.approx([0, 0, -1])
    # half a metre at 1.5 m is 0.81 * 101 / 3 = 27.27 pixels
    assert (face[50] == 7).sum() == 2 * 27 + 1
    assert depth[50, 50 + 30] == pytest.approx(4.0)  # the wall beside it
    assert depth[100, 50] == pytest.approx(1 / (50 / (0.81 * 101)))  # the floor, 1 m down
    assert faces.normals[face[100, 50]] == pytest.approx([0, -1, 0])


def test_points_of_a_face_lie_on_its_plane_and_span_it(small):
    u, v = image_plane(*SIZE)
    for index in SOME:
        view, frame = small.view(index), small.frame(index)
        z = depths(view.faces, view.face, u, v)
        points = np.stack([z * u, z * v, z], axis=-1)
        normals = view.faces.normals[view.face]
        distances = (points * normals).sum(-1) - view.faces.offsets[view.face]
        assert abs(distances).max() < 1e-9
        same = (view.face[:-1, :-1] == view.face[1:, :-1]) & (
            view.face[:-1, :-1] == view.face[:-1, 1:]
        )
        across, down = points[:-1, 1:] - points[:-1, :-1], points[1:, :-1] - points[:-1, :-1]
        cross = np.cross(down, across)[same]
        cross /= np.linalg.norm(cross, axis=-1, keepdims=True)
        assert np.allclose(cross, normals[:-1, :-1][same], atol=1e-6)
        known = frame.depth > 0
        assert np.allclose(frame.depth[known], z[known], rtol=1e-6)


def test_normals_have_unit_length_and_face_the_camera(small):
    u, v = image_plane(*SIZE)
    for index in SOME:
        normal = small.frame(index).normal
        known = (normal != 0).any(-1)
        assert np.allclose(np.linalg.norm(normal[known], axis=-1), 1, atol=1e-6)
        towards = normal[..., 0] * u + normal[..., 1] * v + normal[..., 2]
        assert (towards[known] < 0).all()


def test_depths_are_those_of_a_room(small):
    for index in SOME:
        depth = small.frame(index).depth
        assert depth.min() >= 0
        assert depth[depth > 0].min() > 0.3
        assert depth.max() < 9


def test_every_class_is_there_and_none_is_all():
    counts = np.zeros(len(CLASSES))
    views = Rooms(*SIZE)
    seen = np.zeros(len(CLASSES))
    for index in range(80):
        label = views.frame(index).label
        found = np.bincount(label[label >= 0], minlength=len(CLASSES))
        counts += found
        seen += found > 0
    shares = counts / counts.sum()
    assert (seen >= 8).all(), dict(zip(CLASSES, seen, strict=True))
    assert shares.max() < 0.55
    assert CLASSES[shares.argmax()] == "wall"


def test_some_per_cent_of_the_pixels_are_unknown_each_in_its_own_way(small):
    frames = [small.frame(index) for index in range(60)]
    void = np.stack([f.label == -1 for f in frames])
    no_depth = np.stack([f.depth == 0 for f in frames])
    no_normal = np.stack([(f.normal == 0).all(-1) for f in frames])
    for missing in (void, no_depth, no_normal):
        assert 0.01 < missing.mean() < 0.15
    assert (no_depth <= no_normal).all()
    assert (void != no_depth).mean() > 0.02


def test_a_scene_depends_on_its_seed_and_index_alone():
    first = Rooms(*SIZE, seed=3)
    backwards = Rooms(*SIZE, seed=3)
    ahead = [first.frame(index) for index in range(4)]
    for index in reversed(range(4)):
        again = backwards.frame(index)
        for name in ("image", "label", "depth", "normal"):
            assert np.array_equal(getattr(again, name), getattr(ahead[index], name))
    assert not np.array_equal(ahead[0].image, ahead[1].image)
    assert not np.array_equal(ahead[0].image, Rooms(*SIZE, seed=4).frame(0).image)
    assert first.sha256() == backwards.sha256() != Rooms(*SIZE, seed=4).sha256()


def test_one_seed_shows_the_same_room_at_every_size(small):
    large = Rooms(3 * SIZE[0], 3 * SIZE[1]).view(5)
    middle = small.view(5)  # its pixels' middles are those of every third pixel
    assert np.array_equal(large.face[1::3, 1::3], middle.face)


def test_what_a_frame_is_made_of_is_not_given_away(small):
    frame = small.frame(0)
    for array in vars(frame).values():
        array[:] = 0
    assert small.frame(0).image.any()


def test_views_are_small_and_shared(small):
    view = small.view(0)
    assert view.image.dtype == view.face.dtype == view.gaps.dtype == np.uint8
    assert sum(a.nbytes for a in (view.image, view.face, view.gaps)) == 5 * SIZE[0] * SIZE[1]
    assert small.view(0) is view
    assert rooms(*SIZE, 7) is rooms(*SIZE, 7)


def test_frames_have_the_types_that_batches_want(small):
    frame = small.frame(0)
    assert frame.image.shape == frame.normal.shape == (*SIZE, 3)
    assert frame.label.shape == frame.depth.shape == SIZE
    assert frame.image.dtype == frame.depth.dtype == frame.normal.dtype == np.float32
    assert frame.label.dtype == np.int64
    assert 0 <= frame.image.min() < frame.image.max() <= 1


@pytest.mark.parametrize("index", range(20))
def test_furniture_stands_in_the_room_and_apart_from_the_camera(index):
    room = room_of(index)
    assert 0 < len(room.boxes) <= MOST_BOXES
    assert all(each.kind in CLASSES for each in room.boxes)
    for each in room.boxes:
        reach = abs(rotation(each.yaw)) @ each.half
        assert (each.centre - reach > [-0.4, -0.4, -0.01]).all()
        assert (each.centre + reach < room.size + np.array([0.4, 0.4, 0.01])).all()
        eye = rotation(-each.yaw) @ (room.eye - each.centre)
        assert (abs(eye) > each.half).any()
    assert (room.eye > 0).all()
    assert (room.eye < room.size).all()


def test_boxes_turn_and_shift_as_one():
    feet = legs("table", plain((0.0, 0.0, 0.0)), (0.0, 0.0, 1.0, 0.6), 0.7)
    turned = moved(feet, 2.0, 1.0, 0.5, np.pi / 2)
    for before, after in zip(feet, turned, strict=True):
        x, y, z = before.centre
        assert after.centre == pytest.approx([2 - y, 1 + x, z + 0.5])
        assert after.yaw == pytest.approx(np.pi / 2)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (8, 40), (40, 8)])
def test_odd_sizes_are_rendered_too(height, width):
    assert render(height, width, 0, 0).image.shape == (height, width, 3)
