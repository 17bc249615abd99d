"""Augmentation of frames: random enlargement and mirroring."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from mtlgym.datasets.frames import FrameBatch

SCALES = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5)


def augment(batch: FrameBatch, indices: NDArray[np.integer], seed: int) -> FrameBatch:
    """Each frame enlarged about a random place and, every other time, mirrored.

    A scale s of `SCALES` is drawn, a part of 1/s of the height and width is cut out and brought to
    the full size, and its depth is divided by s. Image and normals are interpolated bilinearly,
    labels and depth take the nearest pixel. Mirrored normals have the other sign in x.

    What is drawn for a frame depends on the seed and the frame's index alone.

    Source: Liu, Johns, Davison (CVPR 2019), in the form of the published code, with the scales of
    Dai et al. (UAI 2023).
    Differs from it in that pixels without a normal stay without one and do not shorten those of
    their neighbours: interpolated normals have unit length again where the nearest pixel has one.
    """
    drawn = [_seen_anew(batch, row, [seed, int(i)]) for row, i in enumerate(indices)]
    names = ("image", "label", "depth", "normal")
    return FrameBatch(
        **{name: torch.cat([getattr(each, name) for each in drawn]) for name in names}
    )


def zoom(batch: FrameBatch, scale: float, top: int, left: int) -> FrameBatch:
    """The part of 1 / `scale` that begins at this row and column, at the size of the whole."""
    size = batch.label.shape[1:]
    height, width = cropped(size, scale)
    rows, columns = slice(top, top + height), slice(left, left + width)
    part = FrameBatch(
        batch.image[..., rows, columns],
        batch.label[..., rows, columns],
        batch.depth[..., rows, columns],
        batch.normal[..., rows, columns],
    )
    known = (part.normal != 0).any(dim=1, keepdim=True)
    label = interpolate(part.label[:, None].float(), size, mode="nearest-exact")
    normal = unit(interpolate(part.normal, size, mode="bilinear"))
    return FrameBatch(
        image=interpolate(part.image, size, mode="bilinear"),
        label=label[:, 0].long(),
        depth=interpolate(part.depth, size, mode="nearest-exact") / scale,
        normal=normal * interpolate(known.to(normal), size, mode="nearest-exact"),
    )


def mirror(batch: FrameBatch) -> FrameBatch:
    """The frame with left and right exchanged."""
    sign = batch.normal.new_tensor([-1.0, 1.0, 1.0])[:, None, None]
    return FrameBatch(
        image=batch.image.flip(-1),
        label=batch.label.flip(-1),
        depth=batch.depth.flip(-1),
        normal=batch.normal.flip(-1) * sign,
    )


def cropped(size: tuple[int, ...], scale: float) -> tuple[int, int]:
    """Height and width of the part that fills the whole at this scale."""
    return int(size[0] / scale), int(size[1] / scale)


def unit(
    vectors: Float[Tensor, "batch 3 height width"],
) -> Float[Tensor, "batch 3 height width"]:
    """The vectors at unit length; those shorter than 1e-6 stay short."""
    return torch.nn.functional.normalize(vectors, dim=1, eps=1e-6)


def _seen_anew(batch: FrameBatch, row: int, key: list[int]) -> FrameBatch:
    rng = np.random.default_rng(key)
    frame = replace(batch, **{k: v[row : row + 1] for k, v in vars(batch).items()})
    scale = SCALES[rng.integers(len(SCALES))]
    size = tuple(frame.label.shape[1:])
    top, left = rng.integers(np.subtract(size, cropped(size, scale)) + 1)
    if scale > 1:
        frame = zoom(frame, scale, int(top), int(left))
    return mirror(frame) if rng.random() < 0.5 else frame
