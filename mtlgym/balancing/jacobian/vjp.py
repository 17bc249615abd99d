"""Where the tasks' backward passes through the shared parameters begin."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.graph import GradientEdge

from mtlgym.balancing.jacobian.hooks import Tap


class UnsoundGradientError(ArithmeticError):
    """Gradients of tasks that are not finite, or too large for their squares to be.

    Attributes:
        tasks: their indices.
    """

    def __init__(self, tasks: Sequence[int]) -> None:
        """Say which tasks."""
        self.tasks = tuple(tasks)
        super().__init__(f"the gradient of task {', '.join(map(str, tasks))} is not finite")


def leaves(root: Tensor, stops: Iterable[Tensor] = ()) -> list[Tensor]:
    """The tensors that a backward pass from here would fill the `.grad` of, each once.

    Nothing behind the `stops` counts.
    """
    found, waiting = [], [root.grad_fn]
    seen = {root.grad_fn, *(stop.grad_fn for stop in stops)}
    while waiting:
        node = waiting.pop()
        assert node is not None
        variable = getattr(node, "variable", None)  # of a node that accumulates gradients
        if variable is not None:
            found.append(variable)
        for child, _ in node.next_functions:
            if child is not None and child not in seen:
                seen.add(child)
                waiting.append(child)
    return found


Inputs = Sequence[Any]  # tensors or edges of the graph
Gradients = tuple[Tensor | None, ...]


@runtime_checkable
class Root(Protocol):
    """A place that every task's gradient comes from; the graph is kept."""

    @property
    def tasks(self) -> int:
        """How many there are."""

    def row(self, task: int, inputs: Inputs) -> Gradients:
        """The gradient of one task at each of the inputs, None where there is none."""

    def rows(self, inputs: Inputs) -> Gradients:
        """The gradients of all tasks by one vectorised pass, each (tasks, *shape)."""


@dataclass(frozen=True, eq=False)
class FromLosses:
    """Back from each task's loss.

    Where the losses were put together by `torch.stack`, a task's pass begins before that, and so
    it leaves the other tasks' heads alone.

    Attributes:
        losses: (tasks,), with their graph.
        slopes: (tasks,), what each loss's gradient is multiplied by.
    """

    losses: Float[Tensor, " tasks"]
    slopes: Float[Tensor, " tasks"]

    @property
    def tasks(self) -> int:
        """How many there are."""
        return len(self.losses)

    def row(self, task: int, inputs: Inputs) -> Gradients:
        """The gradient of one task."""
        node = self.losses.grad_fn
        assert node is not None
        if node.name() == "StackBackward0" and len(node.next_functions) == self.tasks:
            place, number = node.next_functions[task]
            if place is None:  # a loss without a graph
                return (None,) * len(inputs)
            return _grad(GradientEdge(place, number), inputs, self.slopes[task])
        one = torch.zeros_like(self.slopes)
        one[task] = self.slopes[task]
        return _grad(self.losses, inputs, one)

    def rows(self, inputs: Inputs) -> Gradients:
        """The gradients of all tasks."""
        return _grad(self.losses, inputs, torch.diag(self.slopes), is_grads_batched=True)


@dataclass(frozen=True, eq=False)
class FromFeatures:
    """Back from the trunk's output, with every task's gradient there.

    Attributes:
        features: the output, with its graph.
        cotangents: (tasks, *shape of the output).
        beyond: gradients of the parameters behind the output, each a sum over the tasks; empty
            where they were not asked for.
    """

    features: Tensor
    cotangents: Tensor
    beyond: Gradients = ()

    @property
    def tasks(self) -> int:
        """How many there are."""
        return len(self.cotangents)

    def row(self, task: int, inputs: Inputs) -> Gradients:
        """The gradient of one task."""
        return _grad(self.features, inputs, self.cotangents[task])

    def rows(self, inputs: Inputs) -> Gradients:
        """The gradients of all tasks."""
        return _grad(self.features, inputs, self.cotangents, is_grads_batched=True)

    def mixed(self, weights: Float[Tensor, " tasks"], inputs: Inputs) -> Gradients:
        """The gradient of the tasks' weighted sum."""
        mixed = torch.tensordot(weights.to(self.cotangents), self.cotangents, dims=1)
        return _grad(self.features, inputs, mixed)


def make_root(
    losses: Tensor, slopes: Tensor, tap: Tap | None, beyond: Sequence[Tensor] = ()
) -> FromLosses | FromFeatures:
    """The root nearest to the shared parameters: the trunk's output if that is known.

    Where the heads are known too, one backward pass through all of them leads there and gives the
    gradients of the parameters `beyond`; else there is a pass for each task. If the losses depend
    on the trunk by another way than its output, a weight penalty say, the root is the losses.

    Raises:
        ValueError: if the losses did not come through the trunk's output.
    """
    source = FromLosses(losses, slopes)
    features = tap.features if tap else None
    if tap is None or features is None:
        return source
    parted = tap.branches and not _passed_by(losses, tap, tap.aliases)
    if not parted and _passed_by(losses, tap, [features]):
        return source
    if parted:
        grads = _grad(losses, [*tap.aliases, *beyond], slopes)
        found, rest = grads[: len(losses)], grads[len(losses) :]
    else:
        found = tuple(source.row(task, [features])[0] for task in range(len(losses)))
        rest = ()
    if not reaches(found):
        raise ValueError("`losses` did not come from the latest output of the shared module")
    zeros = torch.zeros_like(features)
    rows = torch.stack([zeros if each is None else each for each in found])
    return FromFeatures(features, rows, rest)


def _passed_by(losses: Tensor, tap: Tap, stops: Sequence[Tensor | None]) -> bool:
    """Whether a way leads from the losses to the trunk's parameters that has none of the stops."""
    ends = [stop for stop in stops if stop is not None]
    shared = {id(parameter) for parameter in tap.trunk.parameters()}
    return any(id(leaf) in shared for leaf in leaves(losses, ends))


def reaches(grads: Gradients) -> bool:
    """Whether any of the inputs has a part in what the gradients are of."""
    return any(grad is not None for grad in grads)


def require_reached(reached: Iterable[bool]) -> None:
    """Refuse parameters that no task's pass has reached.

    Raises:
        ValueError: if nothing is true.
    """
    if not any(reached):
        raise ValueError(
            "no parameter in `shared` is in the graph of the losses: it must name parameters of "
            "the model that the losses were computed by"
        )


def _grad(outputs: Any, inputs: Inputs, grad_outputs: Tensor, **options: bool) -> Gradients:
    return torch.autograd.grad(
        outputs, inputs, grad_outputs, retain_graph=True, allow_unused=True, **options
    )
