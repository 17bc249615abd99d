"""The cost of a training step of variational multi-task learning, by model, size and method.

    OMP_NUM_THREADS=1 python benchmarks/vmtl_step.py [--rounds 5] [--seconds 0.5] [--width 1280]

A step is a forward pass, a backward pass and Adam, on random features with 4 samples a class and
task. First models over bMTL at the published sizes; then VMTL by the number of tasks and of classes
at small ones; then Python loops over tasks and draws over the library, at both, and how far apart
their values and gradients are with variances of 0, where nothing is left to chance. One thread; all
sides take turns in every round. Times are the processor's; they and ratios are medians over rounds.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
import tyro
from torch import Tensor
from torch.nn import functional

from mtlgym.models import gaussian
from mtlgym.models.gaussian import Gaussian
from mtlgym.models.task_rows import ALL
from mtlgym.models.vmtl import VMTL, Terms
from mtlgym.models.vmtl_design import Design
from mtlgym.randomness import private_randomness

EACH = 4  # samples of a class and task
MADE = 10_000  # optimizer steps before the one that is measured
POINT = -200.0  # a rho whose softplus is 0 in single precision
COUNTS = {"tasks": (2, 4, 8), "classes": (10, 20, 40, 65)}
MODELS = ("bmtl", "vmtl", "vmtl_ac", "vmtl_z", "vmtl_w")


@dataclass
class Args:
    """What is measured; widths are those of the small sizes."""

    rounds: int = 5
    seconds: float = 0.5  # at least, a round and side
    width: int = 1280
    hidden: int = 256
    latent: int = 128


@dataclass(frozen=True)
class Size:
    """Of a problem and of its model; by default the published one of Office-Home."""

    tasks: int = 4
    classes: int = 65
    width: int = 4096
    hidden: int = 512
    latent: int = 512


@dataclass(frozen=True, eq=False)
class Case:
    """A model with a batch, (tasks, samples, width) and (tasks, samples)."""

    model: Any
    x: Tensor
    labels: Tensor


Pass, Step = Callable[[Case], Terms], Callable[[], None]


def case(name: str, size: Size, **options: Any) -> Case:
    """The model of that name, with the defaults of the environments, on random features."""
    with private_randomness(torch.device("cpu"), 0):
        centres = torch.rand(size.tasks, size.classes, size.width)
        design = Design(name, hidden=size.hidden, latent=size.latent, **options)
        model = VMTL(design, centres)
        labels = torch.arange(size.classes).repeat(EACH).repeat(size.tasks, 1)
        x = torch.rand(*labels.shape, size.width)
    model.at(MADE)
    return Case(model, x, labels)


def batched(made: Case) -> Terms:
    """The library's own forward pass."""
    return made.model(made.x, made.labels)


def looped(made: Case) -> Terms:
    """The same by loops over tasks, for each over the draws of z, and for each over those of w."""
    model, design = made.model, made.model.design
    encoder, every = model.trunk["encoder"], model.heads["classifiers"](ALL)
    heat = model.annealing.temperature(model.step)
    weights = {name: module(heat) for name, module in model.relatedness.items()}
    with torch.no_grad():
        centres = [encoder(each, ALL) for each in model.centres]
    w = [Gaussian(*each) for each in zip(every.mean, every.variance, strict=True)]
    others, found = [each.detach() for each in w], []
    for task, labels in enumerate(made.labels):
        z = encoder(made.x[task], ALL)
        nll = torch.zeros(())
        for _ in range(design.samples):
            drawn = z.sample(1)[0]
            for _ in range(design.samples):
                scores = gaussian.through(drawn, w[task]).sample(1)[0]
                nll = nll + functional.cross_entropy(scores, labels)
        prior = _prior(weights["z"], task, centres)
        kl_z = gaussian.kl(z, Gaussian(prior.mean[labels], prior.variance[labels])).mean()
        kl_w = gaussian.kl(w[task], _prior(weights["w"], task, others)).sum()
        found.append((nll / design.samples**2, kl_z, kl_w))
    nll, kl_z, kl_w = (torch.stack(part) for part in zip(*found, strict=True))
    weigh = model.annealing
    return Terms(nll, kl_z * weigh.weight_z(model.step), kl_w * weigh.weight_w(model.step))


def _prior(weights: Tensor, task: int, posteriors: list[Gaussian]) -> Gaussian:
    """The prior of one task, from the other tasks' posteriors one after the other."""
    mean = torch.zeros_like(posteriors[0].mean)
    variance = torch.full_like(mean, gaussian.FLOOR)
    for other, posterior in enumerate(posteriors):
        if other != task:
            mean = mean + weights[task, other] * posterior.mean
            variance = variance + weights[task, other] ** 2 * posterior.variance
    return Gaussian(mean, variance)


def step(made: Case, forward: Pass = batched) -> Step:
    """A training step with the published settings of Adam."""
    optimizer = torch.optim.Adam(made.model.parameters(), lr=1e-4, weight_decay=5e-4)

    def once() -> None:
        optimizer.zero_grad()
        forward(made).loss.sum().backward()
        optimizer.step()

    return once


def difference(size: Size) -> float:
    """How far apart loops and library are with variances of 0, in terms and gradients, at most."""
    made = case("vmtl", size)
    made.model.eval()  # A without noise
    for name, parameter in made.model.named_parameters():
        if "rho" in name:
            parameter.data.fill_(0.0 if name.endswith("weight") else POINT)
    pairs = zip(*(values(made, forward) for forward in (batched, looped)), strict=True)
    return max(float((a - b).norm() / torch.maximum(a.norm(), b.norm())) for a, b in pairs)


def values(made: Case, forward: Pass) -> list[Tensor]:
    """The terms, and the gradient of each one's sum."""
    terms, parameters = vars(forward(made)).values(), list(made.model.parameters())
    unused: Any = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
    found = [torch.autograd.grad(term.sum(), parameters, **unused) for term in terms]
    return [
        *(term.detach() for term in terms),
        *(torch.cat([each.flatten() for each in gradients]) for gradients in found),
    ]


def times(sides: Mapping[str, Step], args: Args) -> dict[str, list[float]]:
    """The seconds a step of each side, (rounds,); all sides take turns."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(args.rounds + 1):  # the first one warms up
        for name in list(sides)[:: 1 if number % 2 else -1]:
            steps, start = 0, time.process_time()
            while time.process_time() - start < args.seconds:
                sides[name]()
                steps += 1
            found[name].append((time.process_time() - start) / steps)
    return {name: each[1:] for name, each in found.items()}


def tell(title: str, sides: Mapping[str, Step], args: Args) -> None:
    """Print a table: the milliseconds of a step, and how many times the first side's they are."""
    found = times(sides, args)
    base = next(iter(found.values()))
    print(f"\n| {title} | ms a step | times the first |\n| --- | --- | --- |")
    for name, seconds in found.items():
        relative = median(a / b for a, b in zip(seconds, base, strict=True))
        print(f"| {name} | {1000 * median(seconds):.1f} | {relative:.2f} |")


def main(args: Args) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    small = {"width": args.width, "hidden": args.hidden, "latent": args.latent}
    sides = {name: step(case(name, Size())) for name in MODELS}
    sides["vmtl, one draw of z and of w"] = step(case("vmtl", Size(), samples=1))
    tell(str(Size()), sides, args)
    for what, counts in COUNTS.items():
        sizes = {f"{what} {n}": Size(**{"classes": 25, **small, what: n}) for n in counts}
        tell(f"vmtl by {what}", {k: step(case("vmtl", v)) for k, v in sizes.items()}, args)
    forms = {"vmtl": batched, "vmtl, loops over tasks and draws": looped}
    for size in (Size(), Size(classes=25, **small)):
        tell(str(size), {k: step(case("vmtl", size), v) for k, v in forms.items()}, args)
        print(f"\nRelative difference with variances of 0: {difference(size):.1e}.")


if __name__ == "__main__":
    main(tyro.cli(Args))
