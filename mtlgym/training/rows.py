"""The tasks' gradients one row after another, or several rows at a time."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtlgym.balancing.gramian import gramian
from mtlgym.training.roots import Root, reaches, require_reached
from mtlgym.training.tap import Call


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
