"""The Gramian of the tasks' gradients without the gradients, where layers are linear."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtlgym.balancing.gramian import gramian
from mtlgym.balancing.jacobian.hooks import Call
from mtlgym.balancing.jacobian.vjp import Root, reaches, require_reached


@dataclass(frozen=True, eq=False)
class Flow:
    """What went into the linear layers of one weight, and every task's gradient at their output.

    Attributes:
        layer: the layer.
        rows: (n, in), one row for each vector that was multiplied.
        cotangents: (tasks, n, out).
    """

    layer: nn.Linear
    rows: Float[Tensor, "n in"]
    cotangents: Float[Tensor, "tasks n out"]

    def gramian(self, bias: bool) -> Float[Tensor, "tasks tasks"]:
        """That of the gradients of weight and, with `bias`, of bias.

        The gradient of task t is D_t^T A, so K_ts = <D_t^T A, D_s^T A> = <A A^T D_t, D_s>: with
        fewer rows n than columns of A, the second is cheaper. The bias adds 1 to A A^T.
        """
        if len(self.rows) < self.rows.shape[1]:
            products = (self.rows @ self.rows.T + bias) @ self.cotangents
            return (products.flatten(1) @ self.cotangents.flatten(1).T).double().cpu()
        total = gramian((self.cotangents.mT @ self.rows).flatten(1))
        return total + gramian(self.cotangents.sum(dim=1)) if bias else total


class Layers:
    """Stop at the outputs of the trunk's linear layers and make their Gramian from there.

    One vectorised backward pass to those outputs, and to the other parameters; the Gramian of a
    linear layer comes from its input and the gradients at its output, and its combined gradient is
    one product. No linear weight's gradient is made for each task, so there is no tasks x
    parameters matrix.

    Exact where a linear layer's parameters are used by calls of that layer alone. Without such
    layers it does what `Batched` does.
    """

    def __init__(self, shared: Sequence[nn.Parameter]) -> None:
        """Know the shared parameters."""
        self._shared = tuple(shared)
        self._flows: list[Flow] = []
        self._rest: dict[nn.Parameter, Tensor] = {}  # (tasks, *shape)

    def differentiate(self, root: Root, calls: Sequence[Call]) -> None:
        """Go back to the linear layers' outputs and the other parameters."""
        calls = self._usable(calls)
        flowing = {id(p) for call in calls for p in (call.layer.weight, call.layer.bias)}
        rest = [parameter for parameter in self._shared if id(parameter) not in flowing]
        self._flows, self._rest = [], {}
        grads = root.rows([*(call.output for call in calls), *rest])
        require_reached([reaches(grads)])
        for layer in dict.fromkeys(call.layer for call in calls):
            pairs = [
                (call, grad)
                for call, grad in zip(calls, grads, strict=False)
                if call.layer is layer and grad is not None
            ]
            if pairs:
                self._flows.append(_flow(pairs))
        for parameter, grad in zip(rest, grads[len(calls) :], strict=True):
            if grad is not None:
                self._rest[parameter] = grad
        self._tasks = root.tasks

    def gramian(self) -> Float[Tensor, "tasks tasks"]:
        """The sum of the layers' and the other parameters' Gramians."""
        total = torch.zeros(self._tasks, self._tasks, dtype=torch.float64)
        known = set(self._shared)
        for flow in self._flows:
            total += flow.gramian(flow.layer.bias in known)
        for part in self._rest.values():
            total += gramian(part.reshape(self._tasks, -1))
        return total

    def combine(self, weights: Float[Tensor, " tasks"]) -> list[Tensor]:
        """G^T w: the layers' gradients at the weighted sum of the cotangents."""
        found: dict[Tensor, Tensor] = {}
        for flow in self._flows:
            mixed = torch.tensordot(weights.to(flow.cotangents), flow.cotangents, dims=1)
            found[flow.layer.weight] = mixed.T @ flow.rows
            if flow.layer.bias is not None:
                found[flow.layer.bias] = mixed.sum(dim=0)
        for parameter, part in self._rest.items():
            found[parameter] = torch.tensordot(weights.to(part), part, dims=1)
        return [found[p] if p in found else torch.zeros_like(p) for p in self._shared]

    def blocks(self) -> list[Float[Tensor, "tasks _"]]:
        """None: the Jacobian is never made."""
        return []

    def _usable(self, calls: Sequence[Call]) -> list[Call]:
        """The calls of layers that are shared and whose weight is no other layer's too."""
        known: set[Tensor] = set(self._shared)
        owners: dict[Tensor, set[nn.Linear]] = {}
        for call in calls:
            owners.setdefault(call.layer.weight, set()).add(call.layer)
        own = {weight for weight, layers in owners.items() if len(layers) == 1}
        return [call for call in calls if call.layer.weight in known & own]


def _flow(pairs: Sequence[tuple[Call, Tensor]]) -> Flow:
    """All calls of one weight, in the weight's type, their rows one below the other."""
    layer = pairs[0][0].layer
    dtype = layer.weight.dtype
    rows = [call.rows.reshape(-1, layer.in_features).to(dtype) for call, _ in pairs]
    cotangents = [grad.reshape(len(grad), -1, layer.out_features).to(dtype) for _, grad in pairs]
    return Flow(layer, torch.cat(rows), torch.cat(cotangents, dim=1))
