"""Batches, losses and metrics of text problems."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics
from torch import Tensor, nn
from torch.nn import functional

from mtlgym.datasets.sources import Source
from mtlgym.datasets.texts import SPLITS, TextTask
from mtlgym.datasets.tokens import Tokens
from mtlgym.metrics import Metric
from mtlgym.models.text_encoder import Encoder, TextModel
from mtlgym.problems.problem import Problem

Values = NDArray[Any]
POOL = 50  # batches whose samples are sorted by length together
MEASURED = 64  # samples in one forward pass of `measure`


def f1(labels: Values, predicted: Values) -> float:
    """The F1 score of class 1; 0 where it is undefined."""
    return float(metrics.f1_score(labels, predicted, zero_division=0.0))


def pearson(scores: Values, predicted: Values) -> float:
    """Pearson's correlation; 0 where it is undefined, as a constant has none."""
    return _correlation(stats.pearsonr, scores, predicted)


def spearman(scores: Values, predicted: Values) -> float:
    """Spearman's rank correlation; 0 where it is undefined, as a constant has none."""
    return _correlation(stats.spearmanr, scores, predicted)


def _correlation(function: Callable[..., Any], scores: Values, predicted: Values) -> float:
    if np.ptp(scores) == 0 or np.ptp(predicted) == 0 or not np.isfinite(predicted).all():
        return 0.0
    return float(function(scores, predicted).statistic)


# (class indices or scores, predictions) -> value in [-1, 1]; higher is better.
TEXT_METRICS: dict[str, Callable[[Values, Values], float]] = {
    "accuracy": metrics.accuracy_score,
    "f1": f1,
    "matthews": metrics.matthews_corrcoef,
    "pearson": pearson,
    "spearman": spearman,
}


@dataclass(frozen=True, eq=False)
class TextBatch:
    """Samples of one task, padded to the longest of them.

    Attributes:
        ids: of tokens, 0 where there is none.
        mask: 1 where there is a token.
        types: 1 for a token of the second text of a pair.
        labels: class indices, or scores.
    """

    ids: Int[Tensor, "samples tokens"]
    mask: Int[Tensor, "samples tokens"]
    types: Int[Tensor, "samples tokens"]
    labels: Tensor

    def to(self, device: Any) -> "TextBatch":
        """The batch on that device."""
        moved = {name: value.to(device) for name, value in vars(self).items()}
        return replace(self, **moved)


class TextSplit:
    """One split of text tasks, with one source for each task."""

    def __init__(self, tokens: Sequence[Tokens]) -> None:
        """Keep each task's samples."""
        self.sizes = tuple(len(each.labels) for each in tokens)
        self.tokens = tuple(tokens)

    def batch(self, source: int, indices: NDArray[Any], seed: int) -> TextBatch:
        """These samples of a task; `seed` is not used."""
        tokens = self.tokens[source]
        starts, ends = tokens.starts[indices], tokens.starts[indices + 1]
        ids, mask, types = np.zeros((3, len(indices), int((ends - starts).max())), np.int64)
        for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
            ids[row, : end - start] = tokens.ids[start:end]
            types[row, : end - start] = tokens.types[start:end]
            mask[row, : end - start] = 1
        arrays = (ids, mask, types, tokens.labels[indices])
        return TextBatch(*map(torch.from_numpy, arrays))  # type: ignore[call-arg]

    def order(self, source: int, batch_size: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """A permutation in which the samples of a batch are of about equal length.

        Of every 50 batches of a random permutation, the samples are sorted by length and cut into
        batches anew; then the batches are shuffled. An incomplete batch stays the last one.
        """
        size = self.sizes[source]
        lengths = self.tokens[source].lengths
        shuffled = rng.permutation(size)
        whole = size - size % batch_size
        batches: list[NDArray[np.int64]] = []
        for start in range(0, whole, POOL * batch_size):
            pool = shuffled[start : min(start + POOL * batch_size, whole)]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            batches.extend(pool.reshape(-1, batch_size))
        mixed = [batches[i] for i in rng.permutation(len(batches))]
        return np.concatenate([*mixed, shuffled[whole:]])


def text_problem(
    name: str,
    tasks: Sequence[TextTask],
    tokens: Mapping[str, Mapping[str, Tokens]],
    encoder: Encoder,
    dropout: float,
    source: Source,
) -> Problem:
    """Build the problem of these tasks; `tokens`: task -> split -> samples."""
    kinds = tuple(tasks)
    return Problem(
        name=name,
        tasks=tuple(task.name for task in kinds),
        splits={s: TextSplit([tokens[task.name][s] for task in kinds]) for s in SPLITS},
        build=partial(TextModel, encoder, [len(task.labels) or 1 for task in kinds], dropout),
        losses=losses,
        task_loss=task_loss,
        measure=partial(measure, kinds),
        metrics=tuple(Metric(t.name, m, "%", True) for t in kinds for m in t.metrics),
        source=source,
        pretrained=encoder.digest,
    )


def losses(model: nn.Module, batch: Sequence[TextBatch]) -> Float[Tensor, " tasks"]:
    """Each task's loss on its own batch."""
    return torch.stack([task_loss(model, each, task) for task, each in enumerate(batch)])


def task_loss(model: nn.Module, batch: TextBatch, task: int) -> Float[Tensor, ""]:
    """The mean negative log likelihood, in nats, or for scores the mean squared error."""
    outputs = model(batch.ids, batch.mask, batch.types, task)
    if batch.labels.is_floating_point():
        return functional.mse_loss(outputs[:, 0].float(), batch.labels)
    return functional.cross_entropy(outputs.float(), batch.labels)


def measure(tasks: tuple[TextTask, ...], model: nn.Module, split: TextSplit) -> dict[str, float]:
    """Each task's metrics, in percent."""
    values = {}
    for source, task in enumerate(tasks):
        predicted = predict(model, split, source)
        labels = np.asarray(split.tokens[source].labels)
        for name in task.metrics:
            values[f"{task.name}/{name}"] = 100 * float(TEXT_METRICS[name](labels, predicted))
    return values


def predict(model: nn.Module, split: TextSplit, source: int) -> NDArray[Any]:
    """The class or score of every sample of a task, (samples,)."""
    device = next(model.parameters()).device
    order = np.argsort(split.tokens[source].lengths, kind="stable")
    predicted = []
    for start in range(0, len(order), MEASURED):
        batch = split.batch(source, order[start : start + MEASURED], 0).to(device)
        outputs = model(batch.ids, batch.mask, batch.types, source).float().cpu()
        score = batch.labels.is_floating_point()
        predicted.append(outputs[:, 0] if score else outputs.argmax(dim=1))
    found = torch.cat(predicted).numpy()
    return found[np.argsort(order)]
