"""Vector-Jacobian products: the tasks' backward passes from the losses or from the features."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.graph import GradientEdge

from mtlgym.balancing.jacobian.hooks import TrunkHooks

Inputs = Sequence[Any]  # tensors or edges of the graph
Gradients = tuple[Tensor | None, ...]


class UnsoundGradientError(ArithmeticError):
    """Gradients of tasks that are not finite, or too large for their squares to be.

    Attributes:
        tasks: their indices.
    """

    def __init__(self, tasks: Sequence[int]) -> None:
        """Name the tasks in the message."""
        self.tasks = tuple(tasks)
        super().__init__(f"the gradient of task {', '.join(map(str, tasks))} is not finite")


@runtime_checkable
class VJPSource(Protocol):
    """Where the tasks' backward passes start; the graph is kept."""

    @property
    def tasks(self) -> int:
        """The number of tasks."""

    def row(self, task: int, inputs: Inputs) -> Gradients:
        """The gradient of one task at each of the inputs, None where there is none."""

    def rows(self, inputs: Inputs) -> Gradients:
        """The gradients of all tasks by one vectorised pass, each (tasks, *shape)."""


@dataclass(frozen=True, eq=False)
class FromLosses:
    """Backward passes that start at the tasks' losses.

    Where the losses were put together by `torch.stack`, a task's pass starts at its own loss before
    the stack, so it does not run through the other tasks' heads.

    Attributes:
        losses: (tasks,), with their graph.
        slopes: (tasks,), the factor of each loss's gradient.
    """

    losses: Float[Tensor, " tasks"]
    slopes: Float[Tensor, " tasks"]

    @property
    def tasks(self) -> int:
        """The number of tasks."""
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
    """Backward passes that start at the trunk's output, from every task's gradient there.

    Attributes:
        features: the trunk's output, with its graph.
        cotangents: (tasks, *shape of the output).
        other_gradients: gradients of the parameters behind the output, each a sum over the tasks;
            empty where they were not computed.
    """

    features: Tensor
    cotangents: Tensor
    other_gradients: Gradients = ()

    @property
    def tasks(self) -> int:
        """The number of tasks."""
        return len(self.cotangents)

    def row(self, task: int, inputs: Inputs) -> Gradients:
        """The gradient of one task."""
        return _grad(self.features, inputs, self.cotangents[task])

    def rows(self, inputs: Inputs) -> Gradients:
        """The gradients of all tasks."""
        return _grad(self.features, inputs, self.cotangents, is_grads_batched=True)

    def weighted_sum(self, weights: Float[Tensor, " tasks"], inputs: Inputs) -> Gradients:
        """The gradient of the tasks' weighted sum."""
        cotangent = torch.tensordot(weights.to(self.cotangents), self.cotangents, dims=1)
        return _grad(self.features, inputs, cotangent)


def vjp_source(
    losses: Tensor, slopes: Tensor, hooks: TrunkHooks | None, others: Sequence[Tensor] = ()
) -> FromLosses | FromFeatures:
    """The source nearest to the shared parameters: the trunk's output if that is known.

    Where the heads are known too, one backward pass through all of them gives the gradients at the
    trunk's output and those of the `others`, the parameters that are not shared; else there is a
    pass for each task. If the losses depend on the trunk by another way than its output, a weight
    penalty say, the source is the losses.

    Raises:
        ValueError: if the losses do not depend on the trunk's output.
    """
    from_losses = FromLosses(losses, slopes)
    features = hooks.features if hooks else None
    if hooks is None or features is None:
        return from_losses
    by_heads = hooks.all_aliased and not _bypassed(losses, hooks, hooks.aliases)
    if not by_heads and _bypassed(losses, hooks, [features]):
        return from_losses
    if by_heads:
        grads = _grad(losses, [*hooks.aliases, *others], slopes)
        at_features, other_gradients = grads[: len(losses)], grads[len(losses) :]
    else:
        at_features = tuple(from_losses.row(task, [features])[0] for task in range(len(losses)))
        other_gradients = ()
    if not any_gradient(at_features):
        raise ValueError("`losses` did not come from the latest output of the shared module")
    zeros = torch.zeros_like(features)
    cotangents = torch.stack([zeros if grad is None else grad for grad in at_features])
    return FromFeatures(features, cotangents, other_gradients)


def _bypassed(losses: Tensor, hooks: TrunkHooks, stops: Sequence[Tensor | None]) -> bool:
    """Whether the losses depend on the trunk's parameters by a path that has none of the stops."""
    ends = [stop for stop in stops if stop is not None]
    shared = {id(parameter) for parameter in hooks.trunk.parameters()}
    return any(id(leaf) in shared for leaf in leaves(losses, ends))


def leaves(tensor: Tensor, stops: Iterable[Tensor] = ()) -> list[Tensor]:
    """The leaf tensors that a backward pass from this tensor would accumulate gradients in.

    Each is listed once. Leaves that are reached only through the `stops` are left out.
    """
    leaf_tensors, waiting = [], [tensor.grad_fn]
    seen = {tensor.grad_fn, *(stop.grad_fn for stop in stops)}
    while waiting:
        node = waiting.pop()
        assert node is not None
        variable = getattr(node, "variable", None)  # of a node that accumulates gradients
        if variable is not None:
            leaf_tensors.append(variable)
        for child, _ in node.next_functions:
            if child is not None and child not in seen:
                seen.add(child)
                waiting.append(child)
    return leaf_tensors


def any_gradient(grads: Gradients) -> bool:
    """Whether a backward pass reached at least one of its inputs."""
    return any(grad is not None for grad in grads)


def require_reached(reached: Iterable[bool]) -> None:
    """Refuse shared parameters that no task's backward pass has reached.

    Raises:
        ValueError: if none of `reached` is true.
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
