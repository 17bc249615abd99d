"""Per-task gradients of the shared parameters and their Gramian, by several strategies.

G has a row a task and a column a shared parameter. `gramian` is G G^T, and `combine` is G^T w. All
strategies but `Features` are exact, and none is the fastest on every model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtlgym.balancing.gramian import gramian
from mtlgym.training.layers import Layers
from mtlgym.training.roots import FromFeatures, Root, reaches, require_reached
from mtlgym.training.rows import Loop, Threads
from mtlgym.training.tap import Call

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
