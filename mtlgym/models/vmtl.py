"""Variational multi-task learning, and the models that it is compared with, as one module."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from mtlgym.models import gaussian
from mtlgym.models.annealing import Annealing
from mtlgym.models.gaussian import Gaussian
from mtlgym.models.gaussian_encoder import ENCODERS, RHO, SPREAD, Perceptron
from mtlgym.models.relatedness import Relatedness
from mtlgym.models.task_rows import ALL, TaskRows
from mtlgym.models.vmtl_design import Design

ANNEALING = Annealing()


class Classifiers(nn.Module):
    """Linear classifiers without a bias, one for each task.

    Attributes:
        mean: of each task, (classes, latent).
        rho: of sigma = softplus(rho), in the same shape; None for points.
    """

    def __init__(self, tasks: int, classes: int, latent: int, *, spread: bool) -> None:
        """Draw the parameters, as the published code of VMTL does; `spread` for Gaussians."""
        super().__init__()
        self.mean = TaskRows(SPREAD * torch.randn(tasks, classes, latent))
        rho = RHO + SPREAD * torch.randn(tasks, classes, latent) if spread else None
        self.rho = None if rho is None else TaskRows(rho)

    def forward(self, tasks: slice) -> Gaussian:
        """q(w) of all tasks, (tasks, classes, latent); only these tasks' can be learnt from it."""
        mean = self.mean.among_all(tasks)
        if self.rho is None:
            return Gaussian(mean, torch.zeros_like(mean))
        return Gaussian(mean, functional.softplus(self.rho.among_all(tasks)).square())


class AmortisedClassifiers(nn.Module):
    """Classifiers that one perceptron infers from each class's mean features.

    The parameters do not grow with the tasks or the classes, and a class's vector depends on the
    samples of that class alone.

    Source: Variational Multi-Task Learning (2021), section 2.3, eq. 12.
    Differs from its published code in that there is no bias, one hidden layer, and that the mean
    is over all training samples of the class, not a running one over batches.
    """

    def __init__(self, width: int, hidden: int, latent: int) -> None:
        """Build the perceptron, from features of that width."""
        super().__init__()
        self.perceptron = Perceptron(width, hidden, latent, tasks=None, spread=True)

    def forward(self, centres: Float[Tensor, "tasks classes width"]) -> Gaussian:
        """q(w), (tasks, classes, latent), from the means of each class's features."""
        return self.perceptron(centres, ALL)


@dataclass(frozen=True, eq=False)
class Terms:
    """The parts of the tasks' losses, each (chosen,) and in nats.

    Attributes:
        nll: mean negative log likelihood over samples and draws.
        kl_z: mean divergence of z over samples, times its weight.
        kl_w: divergence of w, times its weight.
    """

    nll: Tensor
    kl_z: Tensor
    kl_w: Tensor

    @property
    def loss(self) -> Float[Tensor, " chosen"]:
        """The negative of each task's part of the objective (eq. 13)."""
        return self.nll + self.kl_z + self.kl_w


class VMTL(nn.Module):
    """An encoder of z and classifiers w for several tasks with one label space.

    q(z|x) and q(w) are diagonal Gaussians, or points, and class scores are z w. The prior of a
    task's z and w is a mixture of the other tasks' posteriors with weights A: see `gaussian.pool`.
    No gradient flows into the other tasks' posteriors, so A is learnt through divergences alone.

    Source: Variational Multi-Task Learning (2021), section 2; its published code for what the text
    leaves open.

    Attributes:
        tasks: the number of tasks.
        design: the sizes and the variant of the model.
        annealing: its schedules.
        trunk: what the tasks share: `encoder` but in `stl` and `vstl`, and `classifiers` where
            amortised.
        heads: what the tasks do not share, one parameter for each task.
        relatedness: A for `z` and for `w`, where there are such; empty for a single task.
        centres: the mean training features of each class, (tasks, classes, width), where needed.
    """

    step: Tensor
    centres: Tensor | None

    def __init__(
        self,
        design: Design,
        centres: Float[Tensor, "tasks classes width"],
        annealing: Annealing = ANNEALING,
    ) -> None:
        """Build the model for data with these mean features of each task's classes."""
        super().__init__()
        form, (tasks, classes, width) = design.form, centres.shape
        self.design = design
        self.tasks = tasks
        self.annealing = annealing
        encoder = ENCODERS[design.encoder](
            width,
            design.hidden,
            design.latent,
            tasks=None if form.shared else tasks,
            spread=form.latent,
        )
        amortised = form.classifiers == "amortised"
        classifiers = (
            AmortisedClassifiers(width, design.hidden, design.latent)
            if amortised
            else Classifiers(tasks, classes, design.latent, spread=form.classifiers == "gaussian")
        )
        self.trunk, self.heads, self.relatedness = (nn.ModuleDict() for _ in range(3))
        (self.trunk if form.shared else self.heads)["encoder"] = encoder
        (self.trunk if amortised else self.heads)["classifiers"] = classifiers
        if form.related and tasks > 1:
            uncertain = {"z": form.latent, "w": form.classifiers != "point"}
            names = [name for name, is_one in uncertain.items() if is_one]
            self.relatedness.update({name: Relatedness(tasks, design.prior) for name in names})
        needed = amortised or "z" in self.relatedness
        self.register_buffer("centres", centres if needed else None, persistent=False)
        self.register_buffer("step", torch.zeros(()), persistent=False)

    def at(self, step: int) -> None:
        """Set the number of optimizer steps so far, which the objective depends on."""
        self.step.fill_(step)

    def forward(
        self,
        x: Float[Tensor, "chosen samples width"],
        labels: Int[Tensor, "chosen samples"],
        related: Float[Tensor, "chosen samples tasks width"] | None = None,
        tasks: slice = ALL,
    ) -> Terms:
        """The parts of the losses of the chosen tasks, each on its own samples.

        Args:
            x: features.
            labels: classes.
            related: for each sample, each task's features of its class; None for the class's mean
                training features.
            tasks: which tasks the samples are of.
        """
        z, w = self._posteriors(x, tasks)
        nll = self._likelihood(z, w[tasks], labels)
        none = torch.zeros_like(nll)
        kl_z, kl_w = none, none
        if self.design.form.latent:
            each = gaussian.kl(z, self._prior_z(z, labels, related, tasks))
            reduced = each.mean(dim=2) if self.design.kl_per_number else each.sum(dim=2)
            kl_z = reduced.mean(dim=1) * self.annealing.weight_z(self.step)
        if self.design.form.classifiers != "point":
            each = gaussian.kl(w[tasks], self._prior_w(w, tasks))
            kl_w = each.sum(dim=(1, 2)) * self.annealing.weight_w(self.step)
        return Terms(nll, kl_z, kl_w)

    def scores(
        self, x: Float[Tensor, "chosen samples width"], tasks: slice = ALL, draws: int = 0
    ) -> Float[Tensor, "draws chosen samples classes"]:
        """Class scores by draws of z and w; for 0 by the posteriors' means, as a single draw."""
        z, w = self._posteriors(x, tasks)
        w = w[tasks]
        if draws:
            return z.sample(draws) @ w.sample(draws).mT
        return (z.mean @ w.mean.mT)[None]

    def weights(self) -> dict[str, Tensor]:
        """A without noise, each (tasks, tasks), for `z` and `w`."""
        return {name: module.expected() for name, module in self.relatedness.items()}  # type: ignore[operator]

    def _posteriors(self, x: Tensor, tasks: slice) -> tuple[Gaussian, Gaussian]:
        """q(z) of the samples, (chosen, samples, latent), and q(w) of all tasks."""
        dropped = functional.dropout(x, self.design.dropout, self.training)
        z = self._encoder(dropped, tasks)
        if self.design.form.classifiers == "amortised":
            return z, self.trunk["classifiers"](self.centres)
        return z, self.heads["classifiers"](tasks)

    @property
    def _encoder(self) -> nn.Module:
        return (self.trunk if self.design.form.shared else self.heads)["encoder"]

    def _likelihood(self, z: Gaussian, w: Gaussian, labels: Tensor) -> Tensor:
        """The mean negative log likelihood over samples and draws, (chosen,)."""
        count, form = self.design.samples, self.design.form
        drawn = z.sample(count) if form.latent else z.mean[None]  # (draws, chosen, samples, latent)
        if form.classifiers == "point":
            scores = (drawn @ w.mean.mT)[None]
        elif self.design.local:
            scores = gaussian.through(drawn, w).sample(count)
        else:
            scores = drawn @ w.sample(count)[:, None].mT
        wanted = labels.expand(scores.shape[:-1]).flatten()
        each = functional.cross_entropy(scores.flatten(0, -2), wanted, reduction="none")
        return each.view(scores.shape[:-1]).mean(dim=(0, 1, 3))

    def _prior_z(
        self, z: Gaussian, labels: Tensor, related: Tensor | None, tasks: slice
    ) -> Gaussian:
        """The prior of each sample's z, in the shape of `z`."""
        if "z" not in self.relatedness:
            return gaussian.standard(z)
        weights = self.relatedness["z"](self.annealing.temperature(self.step), tasks)
        if related is None:
            assert self.centres is not None
            with torch.no_grad():
                centres = self._encoder(self.centres, ALL)
            prior = gaussian.pool(weights, centres)  # (chosen, classes, latent)
            index = labels[..., None].expand_as(z.mean)
            return Gaussian(prior.mean.gather(1, index), prior.variance.gather(1, index))
        with torch.no_grad():
            others = self._encoder(related.flatten(1, 2), tasks)
        shape = (*related.shape[:3], -1)  # (chosen, samples, tasks, latent)
        each = Gaussian(others.mean.view(shape), others.variance.view(shape))
        return gaussian.pool_each(weights, each)

    def _prior_w(self, w: Gaussian, tasks: slice) -> Gaussian:
        """The prior of the chosen tasks' w, (chosen, classes, latent)."""
        if "w" not in self.relatedness:
            return gaussian.standard(w[tasks])
        weights = self.relatedness["w"](self.annealing.temperature(self.step), tasks)
        return gaussian.pool(weights, w.detach())
