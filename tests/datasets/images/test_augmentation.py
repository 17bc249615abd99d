import numpy as np
import pytest
import torch
from torch.testing import assert_close

from mtlgym.datasets.augmentation import SCALES, augment, cropped, mirror, zoom
from mtlgym.datasets.frames import FrameBatch, stack
from mtlgym.datasets.rooms.rooms import Rooms

NAMES = ("image", "label", "depth", "normal")
INDICES = np.arange(6)


@pytest.fixture(scope="module")
def batch():
    views = Rooms(36, 48)
    return stack([views.frame(index) for index in range(6)])


def equal(one, other):
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in NAMES)


def test_a_frame_is_seen_anew_by_seed_and_index_alone(batch):
    whole = augment(batch, INDICES, 5)
    assert equal(whole, augment(batch, INDICES, 5))
    assert not equal(whole, augment(batch, INDICES, 6))
    order = [4, 1, 3]
    part = FrameBatch(*(getattr(batch, name)[order] for name in NAMES))
    anew = augment(part, INDICES[order], 5)
    assert all(torch.equal(getattr(anew, n), getattr(whole, n)[order]) for n in NAMES)


def test_what_is_given_stays_as_it_was(batch):
    before = FrameBatch(*(getattr(batch, name).clone() for name in NAMES))
    augment(batch, INDICES, 0)
    assert equal(batch, before)


def test_all_scales_and_both_sides_occur():
    depth = torch.full((200, 1, 30, 40), 3.0)
    normal = torch.tensor([0.6, 0.0, -0.8])[None, :, None, None].expand(200, 3, 30, 40)
    image = torch.zeros(200, 3, 30, 40)
    anew = augment(
        FrameBatch(image, torch.zeros(200, 30, 40, dtype=torch.long), depth, normal),
        np.arange(200),
        seed=1,
    )
    scales = 3 / anew.depth[:, 0, 0, 0]
    assert sorted(set(scales.mul(10).round().int().tolist())) == [round(10 * s) for s in SCALES]
    mirrored = (anew.normal[:, 0, 0, 0] < 0).float().mean()
    assert 0.4 < mirrored < 0.6
    assert_close(anew.normal.norm(dim=1), torch.ones(200, 30, 40))


def test_mirrored_twice_is_the_same_and_normals_change_side(batch):
    other = mirror(batch)
    assert equal(mirror(other), batch)
    assert torch.equal(other.normal[:, 0], -batch.normal[:, 0].flip(-1))
    assert torch.equal(other.normal[:, 1:], batch.normal[:, 1:].flip(-1))
    assert torch.equal(other.label, batch.label.flip(-1))


def test_twice_as_near_is_half_as_deep_and_every_pixel_four():
    label = torch.arange(24).reshape(1, 4, 6) % 13
    depth = torch.arange(1.0, 25).reshape(1, 1, 4, 6)
    image = torch.rand(1, 3, 4, 6)
    anew = zoom(FrameBatch(image, label, depth, torch.zeros(1, 3, 4, 6)), 2.0, 1, 2)
    part = label[:, 1:3, 2:5].repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.equal(anew.label, part)
    deep = depth[..., 1:3, 2:5].repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(anew.depth, deep / 2)
    assert not anew.normal.any()
    corner = image[0, 0, 1, 2]  # beyond the middles of the outermost pixels nothing is blended
    assert_close(anew.image[0, 0, 0, 0], corner)
    between = image[0, 0, 1, 2] * 0.75 + image[0, 0, 1, 3] * 0.25
    assert_close(anew.image[0, 0, 0, 1], between)


@pytest.mark.parametrize("scale", SCALES[1:])
def test_pixels_without_truth_stay_without_and_do_not_spoil_others(batch, scale):
    height, width = cropped((36, 48), scale)
    anew = zoom(batch, scale, 36 - height, 48 - width)
    known = (anew.normal != 0).any(dim=1)
    assert 0.5 < known.float().mean() < 1
    assert_close(anew.normal.norm(dim=1)[known], torch.ones(int(known.sum())))
    assert set(anew.label.unique().tolist()) <= set(batch.label.unique().tolist())
    depths = set((batch.depth / scale).unique().tolist())
    assert set(anew.depth.unique().tolist()) <= depths
    rows = torch.arange(36).add(0.5).mul(height / 36).long() + 36 - height
    columns = torch.arange(48).add(0.5).mul(width / 48).long() + 48 - width
    nearest = (batch.normal != 0).any(dim=1)[:, rows][:, :, columns]
    assert (known <= nearest).all()  # opposite normals may cancel
    assert (known == nearest).float().mean() > 0.999


def test_a_batch_moves_to_a_device(batch):
    moved = batch.to("meta")
    assert all(getattr(moved, name).device.type == "meta" for name in NAMES)
