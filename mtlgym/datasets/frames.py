"""Images with labels of every pixel: class, depth and surface normal."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

CLASSES = (
    "bed",
    "books",
    "ceiling",
    "chair",
    "floor",
    "furniture",
    "objects",
    "picture",
    "sofa",
    "table",
    "tv",
    "wall",
    "window",
)


@dataclass(frozen=True, eq=False)
class Frame:
    """One image.

    Attributes:
        image: (height, width, 3) red, green, blue in [0, 1], float32.
        label: (height, width) index in `CLASSES`, -1 where there is none, int64.
        depth: (height, width) metres along the optical axis, 0 where it is unknown, float32.
        normal: (height, width, 3) unit vector in the camera's frame, the zero vector where it is
            unknown, float32.
    """

    image: NDArray[np.float32]
    label: NDArray[np.int64]
    depth: NDArray[np.float32]
    normal: NDArray[np.float32]


@runtime_checkable
class Frames(Protocol):
    """Frames of one size, read one at a time."""

    @property
    def height(self) -> int:
        """Rows of pixels of every frame."""

    @property
    def width(self) -> int:
        """Columns of pixels of every frame."""

    def frame(self, index: int) -> Frame:
        """The frame of that index, counted from 0."""


@dataclass(frozen=True, eq=False)
class FrameBatch:
    """Some frames of one size, channels before rows.

    Attributes:
        image: red, green, blue in [0, 1].
        label: index in `CLASSES`, -1 where there is none.
        depth: metres along the optical axis, 0 where it is unknown.
        normal: unit vectors in the camera's frame, zero vectors where they are unknown.
    """

    image: Float[Tensor, "batch 3 height width"]
    label: Int[Tensor, "batch height width"]
    depth: Float[Tensor, "batch 1 height width"]
    normal: Float[Tensor, "batch 3 height width"]

    def to(self, device: torch.device | str) -> "FrameBatch":
        """The same batch on a device."""
        names = [field.name for field in dataclasses.fields(self)]
        return FrameBatch(**{name: getattr(self, name).to(device) for name in names})


def stack(frames: Sequence[Frame]) -> FrameBatch:
    """The frames as one batch, in this order."""
    return FrameBatch(
        image=_channels_first([frame.image for frame in frames]),
        label=torch.from_numpy(np.stack([frame.label for frame in frames])),
        depth=torch.from_numpy(np.stack([frame.depth[None] for frame in frames])),
        normal=_channels_first([frame.normal for frame in frames]),
    )


def _channels_first(arrays: Sequence[NDArray[np.float32]]) -> Tensor:
    return torch.from_numpy(np.stack(arrays)).movedim(-1, 1).contiguous()
