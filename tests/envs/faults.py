"""Problems that fail on demand: in a loss, a gradient, the data or the weights."""

import dataclasses

import torch

from tests.envs.routing import toy_images
from tests.envs.training import toy

BAD = [float("nan"), float("inf"), -float("inf")]
TASK = 1  # the task that fails


class ReplacedGradient(torch.autograd.Function):
    """The identity, with a bad number as its gradient."""

    @staticmethod
    def forward(ctx, value, bad):
        ctx.bad = bad
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        return torch.full_like(gradient, ctx.bad), None


class Fault:
    """Breaks losses once it is switched on, or in every `every`-th call."""

    def __init__(self, kind="loss", bad=float("nan"), every=0):
        self.kind, self.bad, self.every, self.calls, self.on = kind, bad, every, 0, False

    def strikes(self):
        self.calls += 1
        return self.on or (self.every and self.calls % self.every == 0)

    def broken(self, losses, hit):
        """The losses, replaced by bad values where `hit`."""
        if not self.strikes() or self.kind not in ("loss", "gradient"):
            return losses
        if self.kind == "loss":
            return torch.where(hit, losses + self.bad, losses)
        return torch.where(hit, ReplacedGradient.apply(losses, self.bad), losses)


def training_problem(fault, sources=1):
    """The small problem of three tasks, the second of which can break."""

    def losses(model, batch):
        return fault.broken(toy.losses(model, batch), torch.arange(3) == TASK)

    def task_loss(model, batch, task):
        return fault.broken(toy.task_loss(model, batch, task), torch.tensor(task == TASK))

    return dataclasses.replace(toy.toy(sources, losses=losses), task_loss=task_loss)


def image_problem(fault):
    """The small images of three tasks, the second of which can break."""
    problem = toy_images.problem()
    sound, samples = problem.losses, problem.samples

    def losses(scores, task, label):
        return fault.broken(sound(scores, task, label), task == TASK)

    def drawn(split, indices):
        found = samples(split, indices)
        if fault.kind == "data" and fault.on:
            found.images[found.task == TASK] = fault.bad
        return found

    object.__setattr__(problem, "losses", losses)
    object.__setattr__(problem, "samples", drawn)
    return problem


def strike(fault, problem, model):
    """Switch the fault on; faults of data and weights are written into them here."""
    fault.on = True
    if fault.kind == "data" and hasattr(problem.splits["train"], "x"):
        for x in problem.splits["train"].x:
            x[::3] = fault.bad
    if fault.kind == "weight":
        with torch.no_grad():
            last(model).fill_(fault.bad)


def last(model):
    """A parameter that the broken task's loss, or the loss on the first blocks, depends on."""
    if hasattr(model, "heads"):
        return model.heads[TASK].bias
    return next(model.head.layers[-1].children()).bias
