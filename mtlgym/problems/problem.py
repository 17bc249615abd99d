"""A problem: the tasks, data, model, losses and metrics of one multi-task training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from mtlgym.datasets.sources import Source
from mtlgym.metrics import Baseline, Metric

Batch = Any  # returned by a split's `batch` and taken by the same problem's losses


@runtime_checkable
class Split(Protocol):
    """One split of a problem's data.

    Attributes:
        sizes: samples of each source. There is one source if every sample has the labels of all
            tasks, else one a task, in the tasks' order.
    """

    sizes: tuple[int, ...]

    def batch(self, source: int, indices: NDArray[Any], seed: int) -> Batch:
        """The samples of these indices of a source; all random draws are seeded by `seed`."""
        ...


@runtime_checkable
class OrderedSplit(Split, Protocol):
    """A split that defines the order of the samples in an epoch."""

    def order(self, source: int, batch_size: int, rng: np.random.Generator) -> NDArray[Any]:
        """An epoch's samples; each `batch_size` of them make a batch.

        A permutation or, where batches have all classes alike, as many whole batches as would hold
        one, with some samples in them more than once and others not at all.
        """
        ...


@runtime_checkable
class Annealed(Protocol):
    """A model whose losses depend on the number of optimizer steps so far."""

    def at(self, step: int) -> None:
        """Set the number of optimizer steps so far; called before each forward pass in training."""
        ...


def _nothing(model: nn.Module) -> dict[str, Any]:
    """Return no findings; a named function, as problems are pickled and a lambda cannot be."""
    return {}


@dataclass(frozen=True, eq=False)
class Problem:
    """Tasks, data, model, losses and metrics of one multi-task training.

    The functions hold no state, so that they can be called on any model of the same form, also
    through `torch.func.functional_call`.

    Attributes:
        name: the problem's key in `PROBLEMS`.
        tasks: the tasks' names, in the order of every vector over tasks.
        splits: `train`, `val` and `test`.
        build: returns a fresh model with the modules `trunk` (shared) and `heads` (a list with one
            for each task, or one module for all); its parameters are drawn from torch's default
            generator. It may be `Annealed`.
        losses: `(model, batch) -> (tasks,)`, each loss >= 0 in its task's unit, with a graph. With
            more than one source, `batch` is the tuple of all sources' batches.
        task_loss: `(model, batch of the task's source, task) -> ()`.
        measure: `(model, split) -> {"task/metric": value}`; the model is in evaluation mode. Tasks
            without samples in the split are left out.
        metrics: the metrics that `measure` returns.
        source: the data's files.
        findings: `(model) -> dict`, what a result file records about the trained model besides its
            metrics, as plain values.
        pretrained: SHA-256 of the parameters that a training starts from, empty for none.
        baseline: the single-task figures that Delta_m compares with, if there are any.
    """

    name: str
    tasks: tuple[str, ...]
    splits: Mapping[str, Split]
    build: Callable[[], nn.Module]
    losses: Callable[[nn.Module, Batch], Tensor]
    task_loss: Callable[[nn.Module, Batch, int], Tensor]
    measure: Callable[[nn.Module, Split], dict[str, float]]
    metrics: tuple[Metric, ...]
    source: Source
    baseline: Baseline | None = None
    pretrained: str = ""
    findings: Callable[[nn.Module], dict[str, Any]] = _nothing
