"""Classification tasks over images, and the ways to derive tasks from classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtlgym import checks

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class ImageTasks:
    """The samples of one split; several of them may share an image.

    Attributes:
        images: (pool, height, width, channels), uint8.
        index: each sample's image, (samples,).
        task: each sample's task, (samples,).
        label: each sample's class, counted within its task, (samples,).
    """

    images: NDArray[np.uint8]
    index: NDArray[np.int64]
    task: NDArray[np.int64]
    label: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.index)


@dataclass(frozen=True, eq=False)
class ImageData:
    """Tasks and their samples.

    Attributes:
        tasks: the tasks' names.
        classes: the names of each task's classes.
        splits: `train`, `val` and `test`.
    """

    tasks: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    splits: Mapping[str, ImageTasks]

    def __post_init__(self) -> None:
        """Refuse samples that point past what there is, unlike images, classes without samples.

        Raises:
            ValueError: names the split, and the task or the value.
        """
        if len(self.classes) != len(self.tasks) or not self.tasks:
            raise ValueError(f"`classes` must be of each of {self.tasks}, not {self.classes}")
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError(f"`tasks` must have each name once, not {self.tasks}")
        for name in SPLITS:
            if name not in self.splits:
                raise ValueError(f"`splits` must have {SPLITS}, not {tuple(self.splits)}")
            self._check_images(name)
            self._check_samples(name, self.splits[name])
            self._check_classes(name, self.splits[name])

    def _check_images(self, name: str) -> None:
        images, first = self.splits[name].images, self.splits[SPLITS[0]].images
        if images.dtype != np.uint8 or images.ndim != 4:
            raise ValueError(
                f"`images` of {name} must be uint8 (pool, height, width, channels), "
                f"not {images.dtype} {images.shape}"
            )
        if images.shape[1:] != first.shape[1:]:
            raise ValueError(
                f"`images` of {name} must be {first.shape[1:]} each, as those of {SPLITS[0]} are, "
                f"not {images.shape[1:]}"
            )

    def _check_samples(self, name: str, split: ImageTasks) -> None:
        for what in ("index", "task", "label"):
            values = vars(split)[what]
            if values.ndim != 1 or values.dtype.kind not in "iu":
                form = f"{values.dtype} {values.shape}"
                raise ValueError(f"`{what}` of {name} must be integers (samples,), not {form}")
        if not len(split.index) == len(split.task) == len(split.label):
            raise ValueError(f"`index`, `task` and `label` of {name} must be of equal length")
        for what, most in (("index", len(split.images)), ("task", len(self.tasks))):
            values = vars(split)[what]
            wrong = values[(values < 0) | (values >= most)]
            if len(wrong):
                raise ValueError(f"`{what}` of {name} must lie in [0, {most}), not be {wrong[0]}")

    def _check_classes(self, name: str, split: ImageTasks) -> None:
        sizes = np.array([len(each) for each in self.classes])
        wrong = np.flatnonzero((split.label < 0) | (split.label >= sizes[split.task]))
        if len(wrong):
            task, label = split.task[wrong[0]], split.label[wrong[0]]
            raise ValueError(
                f"`label` of {name} must lie in [0, {sizes[task]}) for task "
                f"{self.tasks[task]!r}, not be {label}"
            )
        counts = np.zeros((len(self.tasks), sizes.max()), np.int64)
        np.add.at(counts, (split.task, split.label), 1)
        for task, label in zip(*np.nonzero(counts == 0), strict=True):
            if label < sizes[task]:
                raise ValueError(
                    f"class {self.classes[task][label]!r} of task {self.tasks[task]!r} has no "
                    f"sample in {name}"
                )


def by_groups(
    images: NDArray[np.uint8], labels: NDArray[np.int64], groups: Sequence[Sequence[int]]
) -> ImageTasks:
    """One task for each group of classes; labels are ranks in the group; other classes are dropped.

    Args:
        images: (samples, height, width, channels).
        labels: each image's class, (samples,).
        groups: the classes of each task, no class in two of them.
    """
    classes = [each for group in groups for each in group]
    task_of = np.full(max([*classes, *labels.tolist()]) + 1, -1)
    rank_of = task_of.copy()
    for task, group in enumerate(groups):
        task_of[list(group)] = task
        rank_of[list(group)] = range(len(group))
    index = np.flatnonzero(task_of[labels] >= 0)
    return ImageTasks(images, index, task_of[labels[index]], rank_of[labels[index]])


def one_against_rest(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    tasks: Sequence[int],
    positives: int,
    negatives: int,
    rng: np.random.Generator,
) -> ImageTasks:
    """One task for each class: images of it have label 1, all others label 0.

    Args:
        images: (pool, height, width, channels).
        labels: each image's class, (pool,).
        tasks: the classes that are asked for, each once.
        positives: samples of the class itself in each task.
        negatives: samples of each other class in each task.
        rng: draws the samples, without replacement.

    Raises:
        ValueError: if a class has fewer images than are to be drawn.
    """
    index, task, label = [], [], []
    classes = np.unique(labels).tolist()
    for number, own in enumerate(tasks):
        for each in sorted({*classes, own}):
            count = positives if each == own else negatives
            there = np.flatnonzero(labels == each)
            if len(there) < count:
                raise ValueError(f"class {each} has {len(there)} images; {count} are asked for")
            index.append(np.sort(rng.choice(there, count, replace=False)))
            task.append(np.full(count, number))
            label.append(np.full(count, int(each == own)))
    return ImageTasks(images, *(np.concatenate(part) for part in (index, task, label)))


def take(data: ImageData, tasks: int | Sequence[str] | None) -> ImageData:
    """Some of the tasks: those named, in that order, or the first ones, so many.

    Raises:
        ValueError: for an unknown task or another number; names the nearest.
    """
    chosen = [data.tasks.index(name) for name in checks.some_tasks(tasks, data.tasks)]
    number = np.full(len(data.tasks), -1)
    number[chosen] = range(len(chosen))
    splits = {}
    for name, split in data.splits.items():
        kept = number[split.task] >= 0
        task = number[split.task[kept]]
        splits[name] = ImageTasks(split.images, split.index[kept], task, split.label[kept])
    names = tuple(data.tasks[each] for each in chosen)
    return ImageData(names, tuple(data.classes[each] for each in chosen), splits)
