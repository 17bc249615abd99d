"""Semantic classes, depth and surface normals of rooms, by SegNet."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from mtlgym import checks
from mtlgym.datasets.augmentation import augment as seen_anew
from mtlgym.datasets.frames import FrameBatch, Frames, stack
from mtlgym.datasets.nyuv2 import nyuv2
from mtlgym.lookup import lookup
from mtlgym.models.segnet import FILTERS, SegNet
from mtlgym.problems.dense_losses import OBJECTIVES
from mtlgym.problems.dense_metrics import METERS, METRICS
from mtlgym.problems.problem import Problem

TASKS = tuple(OBJECTIVES)
MTAN_BATCH = 2  # frames in a batch whose metrics are averaged where `metrics` is `mtan`
MEASURED = 65_536  # pixels, about, in one forward pass of `measure`


class FrameSplit:
    """One split of the frames.

    Attributes:
        sizes: one source, as every frame has the labels of all tasks.
        pixels: of a frame.
    """

    def __init__(self, frames: Frames, indices: NDArray[np.int64], augment: bool) -> None:
        """Keep the frames of these indices; with `augment`, every batch augments them anew."""
        self.sizes: tuple[int, ...] = (len(indices),)
        self.pixels = frames.height * frames.width
        self._frames = frames
        self._indices = indices
        self._augment = augment

    def batch(self, source: int, indices: NDArray[Any], seed: int) -> FrameBatch:
        """The frames at these positions in the split, augmented if `augment`."""
        batch = self.read(indices)
        return seen_anew(batch, indices, seed) if self._augment else batch

    def read(self, indices: NDArray[Any]) -> FrameBatch:
        """The frames at these positions in the split, without augmentation."""
        return stack([self._frames.frame(int(self._indices[i])) for i in indices])


def build(
    data: str = "auto",
    tasks: Sequence[str] = TASKS,
    filters: Sequence[int] = FILTERS,
    augment: bool = True,
    metrics: str = "pooled",
    height: int = 288,
    width: int = 384,
    rooms: Sequence[int] = (795, 197, 457),
) -> Problem:
    """NYUv2 as Dai et al. train it: 13 classes, depth and normals of every pixel, by SegNet.

    Losses are the cross-entropy, the mean absolute error in metres and 1 - the mean cosine, over
    the pixels whose truth is known. Where the files are missing, rendered rooms stand in.

    Source: Dai et al. (UAI 2023), section 4.1; Liu, Johns, Davison (CVPR 2019) for the network.
    Differs from it in that a normal is known where any of its components is not 0, where the
    published code requires their sum not to be 0; in that lengths of normals are at least 1e-6 in
    divisions; in how normals are enlarged (`mtlgym.datasets.augmentation`); and in that metrics are
    of all pixels of a split, unless `metrics` is `mtan`. Validation and test split the 654 official
    test images by our own list, as the published one is unknown.

    Args:
        data: `auto`, `real` or `embedded`.
        tasks: which of `segmentation`, `depth` and `normal`, in this order.
        filters: channels of SegNet's stages.
        augment: enlarge and mirror the training images at random.
        metrics: `pooled` takes all pixels of a split together; `mtan` averages depth and normals
            over batches of 2, even the median, as published tables do.
        height: of the rendered rooms, pixels; real images keep their size.
        width: of the rendered rooms, pixels.
        rooms: how many are rendered for training, validation and test.

    Raises:
        ValueError: for an unknown, repeated or missing task, an unknown kind of metrics, sizes
            that are not allowed, or damaged files; names them.
        FileNotFoundError: if `data` is `real` and there are no files; says how to get them.
    """
    tasks = checks.tasks(tasks, TASKS)
    filters = _integers("filters", filters)
    lookup(METERS, metrics, "`metrics`")
    checks.flag("augment", augment)
    for name, size in (("height", height), ("width", width)):
        checks.integer(name, size, least=2 ** len(filters), most=checks.SIZE)
    counts = _integers("rooms", rooms)
    if len(counts) != 3:
        raise ValueError(f"`rooms` must be three numbers (train, val, test), not {rooms!r}")
    frames, indices, source = nyuv2.load(data, int(height), int(width), counts)
    if min(frames.height, frames.width) < 2 ** len(filters):
        raise ValueError(
            f"`filters` of {len(filters)} stages need images of at least {2 ** len(filters)} x "
            f"{2 ** len(filters)} pixels; those in {source.path} have "
            f"{frames.height} x {frames.width}"
        )
    return Problem(
        name="nyuv2",
        tasks=tasks,
        splits={n: FrameSplit(frames, i, augment and n == "train") for n, i in indices.items()},
        build=partial(SegNet, [OBJECTIVES[task].channels for task in tasks], filters),
        losses=partial(losses, tasks),
        task_loss=partial(task_loss, tasks),
        measure=partial(measure, tasks, metrics),
        metrics=tuple(m for task in tasks for m in METRICS if m.task == task),
        source=source,
    )


def losses(tasks: tuple[str, ...], model: nn.Module, batch: FrameBatch) -> Float[Tensor, " tasks"]:
    """Each task's loss; see `mtlgym.problems.dense_losses`."""
    outputs = zip(tasks, model(batch.image), strict=True)
    return torch.stack([OBJECTIVES[task].loss(output, batch) for task, output in outputs])


def task_loss(
    tasks: tuple[str, ...], model: nn.Module, batch: FrameBatch, task: int
) -> Float[Tensor, ""]:
    """One task's loss; the other heads are not computed."""
    output = model.heads[task](model.trunk(batch.image))  # type: ignore[index, operator]
    return OBJECTIVES[tasks[task]].loss(output, batch)


def measure(
    tasks: tuple[str, ...], mode: str, model: nn.Module, split: FrameSplit
) -> dict[str, float]:
    """The metrics of the tasks on the split's frames as they are.

    Raises:
        ValueError: if no pixel of the split has a known truth.
    """
    meters = {task: METERS[mode][task]() for task in tasks}
    pixels = dict.fromkeys(tasks, 0)
    device = next(model.parameters()).device
    size = split.sizes[0]
    count = MTAN_BATCH if mode == "mtan" else max(1, MEASURED // split.pixels)
    for start in range(0, size, count):
        batch = split.read(np.arange(start, min(start + count, size))).to(device)
        for task, output in zip(tasks, model(batch.image), strict=True):
            pixels[task] += meters[task].add(output, batch)
    for task in tasks:
        if not pixels[task]:
            raise ValueError(f"no pixel of the split has a known truth for {task!r}")
    return {f"{t}/{name}": v for t in tasks for name, v in meters[t].values().items()}


def _integers(name: str, values: Any) -> tuple[int, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise ValueError(f"`{name}` must be a sequence of integers, not {values!r}")
    for value in values:
        checks.integer(name, value, least=1, most=checks.SIZE)
    return tuple(int(value) for value in values)
