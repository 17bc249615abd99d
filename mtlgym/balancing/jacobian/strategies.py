"""Per-task gradients of the shared parameters and their Gramian, by several strategies.

G has a row a task and a column a shared parameter. `gramian` is G G^T, and `combine` is G^T w. All
strategies but `Features` are exact, and none is the fastest on every model.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtlgym.balancing.gramian import gramian
from mtlgym.balancing.jacobian.hooks import Call
from mtlgym.balancing.jacobian.linear_layers import Layers
from mtlgym.balancing.jacobian.vjp import FromFeatures, Root, reaches, require_reached


class Loop:
    """One backward pass a task, into the rows of one buffer that is allocated once."""

    def __init__(self, shared: Sequence[nn.Parameter]) -> None:
        """Know the shared parameters."""
        self._shared = tuple(shared)
        self._sizes = [parameter.numel() for parameter in shared]
        self._buffer = torch.empty(0, 0)

    def differentiate(self, root: Root, calls: Sequence[Call]) -> None:
        """Fill the buffer."""
        self.prepare(root)
        require_reached([self.fill(root, task) for task in range(root.tasks)])

    def prepare(self, root: Root) -> None:
        """See that the buffer is there."""
        if len(self._buffer) != root.tasks:
            self._buffer = self._shared[0].detach().new_empty(root.tasks, sum(self._sizes))

    def fill(self, root: Root, task: int) -> bool:
        """Go back from one task and fill its row; give whether it reached any parameter."""
        grads = root.row(task, self._shared)
        for part, grad in zip(self._buffer[task].split(self._sizes), grads, strict=True):
            if grad is None:
                part.zero_()
            else:
                part.view(grad.shape).copy_(grad)
        return reaches(grads)

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
    """The rows of a loop's buffer by several threads, a task at a time each.

    As many as `torch.get_num_threads()`, each of which computes alone. Where a model's operations
    are too small to be divided among cores, its tasks are not. The gradients do not depend on which
    thread made them. Each thread holds a backward pass's own tensors.
    """

    def __init__(self, shared: Sequence[nn.Parameter]) -> None:
        """Know the shared parameters."""
        self._rows = Loop(shared)

    def differentiate(self, root: Root, calls: Sequence[Call]) -> None:
        """Fill the buffer."""
        self._rows.prepare(root)
        threads = torch.get_num_threads()
        try:  # a new thread would divide its operations among as many threads again
            with ThreadPoolExecutor(threads, "task", torch.set_num_threads, (1,)) as pool:
                reached = list(pool.map(lambda t: self._rows.fill(root, t), range(root.tasks)))
        finally:
            torch.set_num_threads(threads)
        require_reached(reached)

    def gramian(self) -> Float[Tensor, "tasks tasks"]:
        """G G^T of the buffer."""
        return self._rows.gramian()

    def combine(self, weights: Float[Tensor, " tasks"]) -> list[Tensor]:
        """G^T w."""
        return self._rows.combine(weights)

    def blocks(self) -> list[Float[Tensor, "tasks _"]]:
        """The buffer."""
        return self._rows.blocks()


Parameters = Sequence[nn.Parameter]


@runtime_checkable
class Strategy(Protocol):
    """A way to the tasks' gradients; `differentiate` comes first, the others answer for it."""

    def __init__(self, shared: Parameters) -> None:
        """Know the shared parameters."""

    def differentiate(self, root: Root, calls: Sequence[Call]) -> None:
        """Go back from the root; `calls` are those of the trunk's linear layers, if known.

        Raises:
            ValueError: if no shared parameter is in the graph.
        """

    def gramian(self) -> Float[Tensor, "tasks tasks"]:
        """G G^T, float64, on the CPU."""

    def combine(self, weights: Float[Tensor, " tasks"]) -> list[Tensor]:
        """G^T w, a tensor a parameter."""

    def blocks(self) -> list[Float[Tensor, "tasks _"]]:
        """G in blocks of columns, in the parameters' order; empty if it is never made."""


class Batched:
    """All tasks in one backward pass, vectorised by `torch.vmap`.

    Not every operation can be: fused recurrent layers on a GPU and compiled functions cannot.
    """

    def __init__(self, shared: Parameters) -> None:
        """Know the shared parameters."""
        self._shared = tuple(shared)
        self._parts: list[Tensor] = []  # (tasks, *shape) for each parameter

    def differentiate(self, root: Root, calls: Sequence[Call]) -> None:
        """Make a row a task of every parameter's gradient."""
        self._parts = []  # the old ones go before the new ones come
        grads = root.rows(self._shared)
        require_reached([reaches(grads)])
        self._parts = [
            parameter.new_zeros(root.tasks, *parameter.shape) if grad is None else grad
            for grad, parameter in zip(grads, self._shared, strict=True)
        ]

    def gramian(self) -> Float[Tensor, "tasks tasks"]:
        """The sum of the parameters' Gramians."""
        return torch.stack([gramian(part) for part in self.blocks()]).sum(dim=0)

    def combine(self, weights: Float[Tensor, " tasks"]) -> list[Tensor]:
        """G^T w, parameter by parameter."""
        return [torch.tensordot(weights.to(part), part, dims=1) for part in self._parts]

    def blocks(self) -> list[Float[Tensor, "tasks _"]]:
        """A block a parameter."""
        return [part.flatten(1) if part.ndim > 1 else part[:, None] for part in self._parts]


class Features:
    """The Gramian of the gradients at the trunk's output in place of the parameters'.

    Approximate: it leaves out the trunk's own Jacobian. One backward pass through the trunk,
    whatever the number of tasks.

    Source: Sener, Koltun (NeurIPS 2018), https://arxiv.org/abs/1810.04650, section 3.3, called
    MGDA-UB there.
    """

    def __init__(self, shared: Parameters) -> None:
        """Know the shared parameters."""
        self._shared = tuple(shared)
        self._root: FromFeatures | None = None

    def differentiate(self, root: Root, calls: Sequence[Call]) -> None:
        """Keep the gradients at the trunk's output.

        Raises:
            ValueError: if that output is not known.
        """
        if not isinstance(root, FromFeatures):
            raise ValueError(
                "strategy 'features' needs the trunk's output: give the module that all tasks "
                "share, which must be called once a forward pass and return one tensor"
            )
        self._root = root

    def gramian(self) -> Float[Tensor, "tasks tasks"]:
        """That of the gradients at the trunk's output."""
        assert self._root is not None
        return gramian(self._root.cotangents.flatten(1))

    def combine(self, weights: Float[Tensor, " tasks"]) -> list[Tensor]:
        """One backward pass of the weighted sum; this part is exact."""
        assert self._root is not None
        grads = self._root.mixed(weights, self._shared)
        require_reached([reaches(grads)])
        pairs = zip(grads, self._shared, strict=True)
        return [torch.zeros_like(p) if grad is None else grad for grad, p in pairs]

    def blocks(self) -> list[Float[Tensor, "tasks _"]]:
        """None: the parameters' Jacobian is never made."""
        return []


@dataclass(frozen=True)
class Plan:
    """A strategy and where its passes begin.

    Attributes:
        kind: the strategy's class.
        from_trunk: begin at the trunk's output where it is known, after one backward pass through
            all heads, and not at the losses.
        exact: whether the Gramian is that of the parameters' gradients.
        jacobian: whether G itself is made.
        reducible: whether it is made as one tensor, which can be averaged over processes.
    """

    kind: type[Strategy]
    from_trunk: bool
    exact: bool = True
    jacobian: bool = True
    reducible: bool = False


STRATEGIES = {
    "batched": Plan(Batched, from_trunk=False),
    "features": Plan(Features, from_trunk=True, exact=False, jacobian=False),
    "heads_batched": Plan(Batched, from_trunk=True),
    "heads_loop": Plan(Loop, from_trunk=True, reducible=True),
    "layers": Plan(Layers, from_trunk=True, jacobian=False),
    "loop": Plan(Loop, from_trunk=False, reducible=True),
    "threads": Plan(Threads, from_trunk=True),
}


def check_reducible(strategy: str) -> None:
    """Refuse a strategy whose gradients cannot be averaged over processes.

    Raises:
        ValueError: names those that can.
    """
    if not STRATEGIES[strategy].reducible:
        usable = " or ".join(repr(name) for name, plan in STRATEGIES.items() if plan.reducible)
        raise ValueError(
            f"strategy {strategy!r} cannot average gradients over processes; use {usable}"
        )
