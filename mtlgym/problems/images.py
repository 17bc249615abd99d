"""Problems of several image classification tasks, for routing networks."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mtlgym.datasets.images.image_tasks import SPLITS, ImageData
from mtlgym.datasets.sources import Source
from mtlgym.lookup import lookup

STEP = 4096  # images that a mean is taken over at once


@dataclass(frozen=True, eq=False)
class ImageBatch:
    """Some samples, in tensors.

    Attributes:
        images: standardised by the training split's mean and deviation of each channel,
            (samples, channels, height, width).
        task: (samples,).
        label: counted within the task, (samples,).
    """

    images: Float[Tensor, "samples channels height width"]
    task: Int[Tensor, " samples"]
    label: Int[Tensor, " samples"]


@dataclass(frozen=True, eq=False)
class ImageProblem:
    """Image classification tasks without a model: the environment builds the network.

    Attributes:
        name: the problem's key in `IMAGE_PROBLEMS`.
        data: the tasks and their samples.
        source: the data's files.
    """

    name: str
    data: ImageData
    source: Source

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks' names."""
        return self.data.tasks

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        height, width, channels = self.data.splits["train"].images.shape[1:]
        return channels, height, width

    @property
    def classes(self) -> int:
        """The number of classes of the task with the most classes."""
        return max(len(each) for each in self.data.classes)

    def size(self, split: str) -> int:
        """Samples of a split.

        Raises:
            ValueError: for another split.
        """
        return len(lookup(self.data.splits, split, "split"))

    def sizes(self, split: str) -> NDArray[np.int64]:
        """Samples of each task in a split, (tasks,).

        Raises:
            ValueError: for another split.
        """
        task = lookup(self.data.splits, split, "split").task
        return np.bincount(task, minlength=len(self.tasks))

    def samples(self, split: str, indices: NDArray[np.integer]) -> ImageBatch:
        """The samples of these indices of a split."""
        chosen = self.data.splits[split]
        images = torch.from_numpy(chosen.images[chosen.index[indices]]).permute(0, 3, 1, 2)
        mean, deviation = self._moments
        return ImageBatch(
            (images.contiguous().float() - mean) / deviation,
            torch.from_numpy(chosen.task[indices]),
            torch.from_numpy(chosen.label[indices]),
        )

    def losses(
        self,
        scores: Float[Tensor, "samples classes"],
        task: Int[Tensor, " samples"],
        label: Int[Tensor, " samples"],
    ) -> Float[Tensor, " samples"]:
        """Each sample's negative log likelihood, in nats, among the classes of its task."""
        possible = self.possible(scores, task)
        return functional.cross_entropy(possible, label, reduction="none")

    def correct(
        self,
        scores: Float[Tensor, "samples classes"],
        task: Int[Tensor, " samples"],
        label: Int[Tensor, " samples"],
    ) -> NDArray[np.bool_]:
        """Whether the likeliest class of each sample's task is the right one, (samples,)."""
        return (self.possible(scores, task).argmax(dim=1) == label).cpu().numpy()

    def possible(
        self, scores: Float[Tensor, "samples classes"], task: Int[Tensor, " samples"]
    ) -> Float[Tensor, "samples classes"]:
        """The scores, minus infinity for classes that a sample's task does not have."""
        if self._uniform:
            return scores
        return scores.masked_fill(~self._known.to(scores.device)[task], -torch.inf)

    @cached_property
    def _uniform(self) -> bool:
        return bool(self._known.all())

    @cached_property
    def _known(self) -> Bool[Tensor, "tasks classes"]:
        sizes = torch.tensor([len(each) for each in self.data.classes])
        return torch.arange(self.classes) < sizes[:, None]

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each channel over the training images, (channels, 1, 1)."""
        split = self.data.splits["train"]
        used = split.images[np.unique(split.index)]
        count = used[..., 0].size
        sums = np.zeros((2, used.shape[3]))
        for start in range(0, len(used), STEP):
            part = used[start : start + STEP].astype(np.float64)
            sums += part.sum(axis=(0, 1, 2)), np.square(part).sum(axis=(0, 1, 2))
        mean, square = sums / count
        deviation = np.sqrt(np.maximum(square - mean**2, 1e-12))
        moments = torch.tensor(np.stack([mean, deviation]), dtype=torch.float32)
        return moments[0][:, None, None], moments[1][:, None, None]


def describe(problem: ImageProblem, options: Mapping[str, Any]) -> dict[str, Any]:
    """The values that identify the problem, as plain values."""
    return {
        "problem": problem.name,
        "tasks": problem.tasks,
        "data": problem.source.kind,
        "data_sha256": problem.source.sha256,
        "samples": {split: problem.size(split) for split in SPLITS},
        **{key: value for key, value in options.items() if key not in ("data", "tasks")},
    }
