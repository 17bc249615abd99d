"""Domains with one label space as tasks, with few labels: variational multi-task learning."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtlgym.datasets.domains import sets
from mtlgym.datasets.domains import split as domain_split
from mtlgym.datasets.domains.domains import Domains, take
from mtlgym.metrics import Metric
from mtlgym.models.annealing import Annealing
from mtlgym.models.task_rows import ALL
from mtlgym.models.vmtl import VMTL
from mtlgym.models.vmtl_design import Design
from mtlgym.problems import fgsm
from mtlgym.problems.domain_batches import DomainBatch, DomainSplit, make_splits
from mtlgym.problems.domain_options import Labels, Measurement
from mtlgym.problems.predictive import predict, quality
from mtlgym.problems.problem import Problem
from mtlgym.problems.scaling import scaling

# Each field of these is an option of its own.
LABELS, DESIGN, ANNEALING, MEASUREMENT = Labels(), Design(), Annealing(), Measurement()


def build(
    name: str,
    data: str = "auto",
    tasks: int | Sequence[str] | None = None,
    labels: Labels = LABELS,
    design: Design = DESIGN,
    annealing: Annealing = ANNEALING,
    measurement: Measurement = MEASUREMENT,
) -> Problem:
    """Domains with one label space, with few labels each, as variational multi-task learning has.

    A loss is the negative log likelihood in nats and, where z or w is a distribution, their
    weighted divergences from priors that are made of the other tasks' posteriors. So task weights
    and gradient methods act on all three. Batches have all classes alike. Metrics are the accuracy
    (which alone counts in scores), the negative log likelihood and the calibration error.

    Source: Variational Multi-Task Learning (2021), an ICLR submission and a NeurIPS paper; its
    published code for what the text leaves open.
    Differs from it in that a part of the labelled samples is held out for validation, where the
    code chooses by the test samples; in that the loss is summed over tasks, not averaged; and in
    that without the real files emoji, as four artists drew them, are told apart by their features.

    Args:
        name: of the data set, a key of `DOMAIN_SETS`.
        data: `auto`, `real` or `embedded`.
        tasks: names of domains, or the number of the first ones; all by default.
        labels: which samples are labelled, and their features.
        design: the model and its priors.
        annealing: what changes as training goes on.
        measurement: how the model is measured.

    Raises:
        ValueError: for an unknown name, a number that is not allowed, or data that do not fit
            together; names the domain and the class.
        FileNotFoundError: for `real` without the files; says how to get them.
    """
    domains, source = sets.load(name, data, labels.features)
    domains = take(domains, tasks)
    parts = domain_split.split(domains, labels.fraction, labels.validation, labels.split_seed)
    training = [x[part] for x, part in zip(domains.features, parts["train"], strict=True)]
    scale = scaling(labels.scaling, training)
    splits = make_splits(domains, parts, scale, attend=labels.related == "attention")
    centres = splits["train"].centres()
    return Problem(
        name=name,
        tasks=domains.tasks,
        splits=splits,
        build=partial(VMTL, design, centres, annealing),
        losses=losses,
        task_loss=task_loss,
        measure=partial(measure, domains.tasks, measurement),
        metrics=tuple(_metrics(domains, measurement)),
        source=source,
        findings=partial(findings, domains.width),
    )


office_home = partial(build, "office_home")
office_caltech = partial(build, "office_caltech")
imageclef = partial(build, "imageclef")
domainnet = partial(build, "domainnet")


def losses(model: nn.Module, batch: Any) -> Float[Tensor, " tasks"]:
    """Each task's loss on its own samples; `batch` is a `DomainBatch` a task, equally large."""
    batches = batch if isinstance(batch, tuple) else (batch,)
    return _losses(model, batches, ALL)


def task_loss(model: nn.Module, batch: DomainBatch, task: int) -> Float[Tensor, ""]:
    """One task's loss."""
    return _losses(model, (batch,), slice(task, task + 1))[0]


def _losses(model: nn.Module, batches: Sequence[DomainBatch], tasks: slice) -> Tensor:
    related = [each.related for each in batches if each.related is not None]
    return model(
        torch.stack([each.x for each in batches]),
        torch.stack([each.labels for each in batches]),
        torch.stack(related) if related else None,
        tasks,
    ).loss


def measure(
    tasks: tuple[str, ...], measurement: Measurement, model: VMTL, split: DomainSplit
) -> dict[str, float]:
    """Accuracy, likelihood and calibration of each domain that has samples in the split."""
    values: dict[str, float] = {}
    for index, task in enumerate(tasks):
        x, labels = split.features[index], split.labels[index]
        if not len(labels):
            continue
        probabilities = predict(model, x, index, measurement.test_samples).probabilities
        values |= {f"{task}/{name}": v for name, v in quality(probabilities, labels).items()}
        device = next(model.parameters()).device
        for epsilon in measurement.attack:
            shifted = fgsm.attack(model, x.to(device), labels.to(device), index, epsilon)
            found = predict(model, shifted, index, measurement.test_samples).probabilities
            values[f"{task}/{_attacked(epsilon)}"] = quality(found, labels)["accuracy"]
    return values


def findings(width: int, model: nn.Module) -> dict[str, Any]:
    """The features' width, and A of z and w: how much each task takes from the others."""
    assert isinstance(model, VMTL)
    found = {name: weights.tolist() for name, weights in model.weights().items()}
    return {"feature_width": width, **({"relatedness": found} if found else {})}


def _metrics(domains: Domains, measurement: Measurement) -> list[Metric]:
    found = []
    for task in domains.tasks:
        found.append(Metric(task, "accuracy", "%", higher_is_better=True))
        found.append(Metric(task, "nll", "nats", judged=False))
        found.append(Metric(task, "ece", "%", judged=False))
        shifted = [_attacked(epsilon) for epsilon in measurement.attack]
        found += [Metric(task, each, "%", higher_is_better=True, judged=False) for each in shifted]
    return found


def _attacked(epsilon: float) -> str:
    return f"accuracy_fgsm_{epsilon:g}"
