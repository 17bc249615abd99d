"""Per-task gradients of the shared parameters and their Gramian, by several strategies.

The Jacobian G has a row for each task and a column for each shared parameter. `gramian` is G G^T
and `combine` is G^T w. All strategies but `Features` are exact; which one is the fastest depends on
the model.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtlgym.balancing.gramian import gramian
from mtlgym.balancing.jacobian.hooks import LinearCall
from mtlgym.balancing.jacobian.linear_layers import Layers
from mtlgym.balancing.jacobian.vjp import FromFeatures, VJPSource, any_gradient, require_reached

Parameters = Sequence[nn.Parameter]


@runtime_checkable
class Strategy(Protocol):
    """A way to compute per-task gradients; call `differentiate` first, then the other methods."""

    def __init__(self, shared: Parameters) -> None:
        """Keep the shared parameters."""

    def differentiate(self, source: VJPSource, calls: Sequence[LinearCall]) -> None:
        """Run the backward passes; `calls` are those of the trunk's linear layers, if known.

        Raises:
            ValueError: if no shared parameter is in the graph.
        """

    def gramian(self) -> Float[Tensor, "tasks tasks"]:
        """G G^T, float64, on the CPU."""

    def combine(self, weights: Float[Tensor, " tasks"]) -> list[Tensor]:
        """G^T w, one tensor for each parameter."""

    def blocks(self) -> list[Float[Tensor, "tasks _"]]:
        """G in blocks of columns, in the parameters' order; empty if it is never formed."""


class Loop:
    """One backward pass for each task, into the rows of one buffer that is allocated once."""

    def __init__(self, shared: Parameters) -> None:
        """Keep the shared parameters."""
        self._shared = tuple(shared)
        self._sizes = [parameter.numel() for parameter in shared]
        self._buffer = torch.empty(0, 0)

    def differentiate(self, source: VJPSource, calls: Sequence[LinearCall]) -> None:
        """Fill the buffer."""
        self.allocate(source.tasks)
        require_reached([self.fill(source, task) for task in range(source.tasks)])

    def allocate(self, tasks: int) -> None:
        """Allocate the buffer, unless there is one for this number of tasks."""
        if len(self._buffer) != tasks:
            self._buffer = self._shared[0].detach().new_empty(tasks, sum(self._sizes))

    def fill(self, source: VJPSource, task: int) -> bool:
        """Write one task's gradient into its row; return whether it reached any parameter."""
        grads = source.row(task, self._shared)
        for part, grad in zip(self._buffer[task].split(self._sizes), grads, strict=True):
            if grad is None:
                part.zero_()
            else:
                part.view(grad.shape).copy_(grad)
        return any_gradient(grads)

    def gramian(self) -> Float[Tensor, "tasks tasks"]:
        """G G^T of the buffer."""
        return gramian(self._buffer)

    def combine(self, weights: Float[Tensor, " tasks"]) -> list[Tensor]:
        """G^T w, in views of one vector."""
        total = weights.to(self._buffer) @ self._buffer
        parts = zip(total.split(self._sizes), self._shared, strict=True)
        return [part.view(parameter.shape) for part, parameter in parts]

    def blocks(self) -> list[Float[Tensor, "tasks _"]]:
        """The buffer."""
        return [self._buffer]


class Threads:
    """The backward passes of `Loop`, divided among several threads.

    There are `torch.get_num_threads()` threads, each of which computes whole tasks on one core.
    That helps where a model's operations are too small to be divided among cores. The gradients do
    not depend on which thread computed them. Each thread holds the memory of one backward pass.
    """

    def __init__(self, shared: Parameters) -> None:
        """Keep the shared parameters."""
        self._rows = Loop(shared)

    def differentiate(self, source: VJPSource, calls: Sequence[LinearCall]) -> None:
        """Fill the buffer."""
        self._rows.allocate(source.tasks)
        threads = torch.get_num_threads()
        try:  # a new thread would divide its operations among as many threads again
            with ThreadPoolExecutor(threads, "task", torch.set_num_threads, (1,)) as pool:
                tasks = range(source.tasks)
                reached = list(pool.map(lambda task: self._rows.fill(source, task), tasks))
        finally:
            torch.set_num_threads(threads)
        require_reached(reached)

    def gramian(self) -> Float[Tensor, "tasks tasks"]:
        """G G^T of the buffer."""
        return self._rows.gramian()

    def combine(self, weights: Float[Tensor, " tasks"]) -> list[Tensor]:
        """G^T w, in views of one vector."""
        return self._rows.combine(weights)

    def blocks(self) -> list[Float[Tensor, "tasks _"]]:
        """The buffer."""
        return self._rows.blocks()


class Batched:
    """All tasks in one backward pass, vectorised by `torch.vmap`.

    Not every operation can be vectorised: fused recurrent layers on a GPU and compiled functions
    cannot.
    """

    def __init__(self, shared: Parameters) -> None:
        """Keep the shared parameters."""
        self._shared = tuple(shared)
        self._parts: list[Tensor] = []  # (tasks, *shape) for each parameter

    def differentiate(self, source: VJPSource, calls: Sequence[LinearCall]) -> None:
        """Compute every parameter's gradients, one row for each task."""
        self._parts = []  # frees the old ones before the new ones are allocated
        grads = source.rows(self._shared)
        require_reached([any_gradient(grads)])
        self._parts = [
            parameter.new_zeros(source.tasks, *parameter.shape) if grad is None else grad
            for grad, parameter in zip(grads, self._shared, strict=True)
        ]

    def gramian(self) -> Float[Tensor, "tasks tasks"]:
        """The sum of the parameters' Gramians."""
        return torch.stack([gramian(part) for part in self.blocks()]).sum(dim=0)

    def combine(self, weights: Float[Tensor, " tasks"]) -> list[Tensor]:
        """G^T w, parameter by parameter."""
        return [torch.tensordot(weights.to(part), part, dims=1) for part in self._parts]

    def blocks(self) -> list[Float[Tensor, "tasks _"]]:
        """One block for each parameter."""
        return [part.flatten(1) if part.ndim > 1 else part[:, None] for part in self._parts]


class Features:
    """The Gramian of the gradients at the trunk's output in place of the parameters'.

    Approximate: it leaves out the trunk's own Jacobian. One backward pass through the trunk,
    whatever the number of tasks.

    Source: Sener, Koltun (NeurIPS 2018), https://arxiv.org/abs/1810.04650, section 3.3, called
    MGDA-UB there.
    """

    def __init__(self, shared: Parameters) -> None:
        """Keep the shared parameters."""
        self._shared = tuple(shared)
        self._source: FromFeatures | None = None

    def differentiate(self, source: VJPSource, calls: Sequence[LinearCall]) -> None:
        """Keep the gradients at the trunk's output.

        Raises:
            ValueError: if that output is not known.
        """
        if not isinstance(source, FromFeatures):
            raise ValueError(
                "strategy 'features' needs the trunk's output: give the module that all tasks "
                "share, which must be called once a forward pass and return one tensor"
            )
        self._source = source

    def gramian(self) -> Float[Tensor, "tasks tasks"]:
        """The Gramian of the gradients at the trunk's output."""
        assert self._source is not None
        return gramian(self._source.cotangents.flatten(1))

    def combine(self, weights: Float[Tensor, " tasks"]) -> list[Tensor]:
        """G^T w by one backward pass of the weighted sum; this part is exact."""
        assert self._source is not None
        grads = self._source.weighted_sum(weights, self._shared)
        require_reached([any_gradient(grads)])
        pairs = zip(grads, self._shared, strict=True)
        return [torch.zeros_like(p) if grad is None else grad for grad, p in pairs]

    def blocks(self) -> list[Float[Tensor, "tasks _"]]:
        """Empty: the parameters' Jacobian is never formed."""
        return []


@dataclass(frozen=True)
class StrategySpec:
    """A strategy's class, where its backward passes start, and what it can compute.

    Attributes:
        kind: the strategy's class.
        from_trunk: start at the trunk's output where it is known, after one backward pass through
            all heads, and not at the losses.
        exact: whether the Gramian is that of the parameters' gradients.
        jacobian: whether G itself is formed.
        reducible: whether G is one tensor, which can be averaged over processes.
    """

    kind: type[Strategy]
    from_trunk: bool
    exact: bool = True
    jacobian: bool = True
    reducible: bool = False


STRATEGIES = {
    "batched": StrategySpec(Batched, from_trunk=False),
    "features": StrategySpec(Features, from_trunk=True, exact=False, jacobian=False),
    "heads_batched": StrategySpec(Batched, from_trunk=True),
    "heads_loop": StrategySpec(Loop, from_trunk=True, reducible=True),
    "layers": StrategySpec(Layers, from_trunk=True, jacobian=False),
    "loop": StrategySpec(Loop, from_trunk=False, reducible=True),
    "threads": StrategySpec(Threads, from_trunk=True),
}


def check_reducible(strategy: str) -> None:
    """Refuse a strategy whose gradients cannot be averaged over processes.

    Raises:
        ValueError: names those that can.
    """
    if not STRATEGIES[strategy].reducible:
        usable = " or ".join(repr(name) for name, spec in STRATEGIES.items() if spec.reducible)
        raise ValueError(
            f"strategy {strategy!r} cannot average gradients over processes; use {usable}"
        )
