"""The Gramian of the tasks' gradients of linear layers, without forming those gradients."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtlgym.balancing.gramian import gramian
from mtlgym.balancing.jacobian.hooks import LinearCall
from mtlgym.balancing.jacobian.vjp import VJPSource, any_gradient, require_reached


@dataclass(frozen=True, eq=False)
class LinearFactors:
    """The factors of the tasks' gradients of one linear weight: D_t^T A for task t.

    Attributes:
        layer: the layer.
        inputs: A, (n, in), one row for each vector that was multiplied.
        cotangents: D, (tasks, n, out), every task's gradient at the layer's output.
    """

    layer: nn.Linear
    inputs: Float[Tensor, "n in"]
    cotangents: Float[Tensor, "tasks n out"]

    def gramian(self, bias: bool) -> Float[Tensor, "tasks tasks"]:
        """The Gramian of the gradients of the weight and, with `bias`, of the bias.

        The gradient of task t is D_t^T A, so K_ts = <D_t^T A, D_s^T A> = <A A^T D_t, D_s>: with
        fewer rows n than columns of A, the second is cheaper. The bias adds 1 to A A^T.
        """
        if len(self.inputs) < self.inputs.shape[1]:
            products = (self.inputs @ self.inputs.T + bias) @ self.cotangents
            return (products.flatten(1) @ self.cotangents.flatten(1).T).double().cpu()
        total = gramian((self.cotangents.mT @ self.inputs).flatten(1))
        return total + gramian(self.cotangents.sum(dim=1)) if bias else total


class Layers:
    """The Gramian from the inputs of the trunk's linear layers and the gradients at their outputs.

    One vectorised backward pass to those outputs, and to the other parameters. The Gramian of a
    linear layer is computed from its input and the gradients at its output, and its combined
    gradient is one product. No linear weight's gradient is formed for each task, so there is no
    tasks x parameters matrix.

    Exact where a linear layer's parameters are used by calls of that layer alone. Without such
    layers it does the same as `Batched`.
    """

    def __init__(self, shared: Sequence[nn.Parameter]) -> None:
        """Keep the shared parameters."""
        self._shared = tuple(shared)
        self._linear: list[LinearFactors] = []
        self._rest: dict[nn.Parameter, Tensor] = {}  # (tasks, *shape)

    def differentiate(self, source: VJPSource, calls: Sequence[LinearCall]) -> None:
        """Run one backward pass to the linear layers' outputs and the other parameters."""
        calls = self._usable(calls)
        in_linear = {id(p) for call in calls for p in (call.layer.weight, call.layer.bias)}
        rest = [parameter for parameter in self._shared if id(parameter) not in in_linear]
        self._linear, self._rest = [], {}
        grads = source.rows([*(call.output for call in calls), *rest])
        require_reached([any_gradient(grads)])
        for layer in dict.fromkeys(call.layer for call in calls):
            pairs = [
                (call, grad)
                for call, grad in zip(calls, grads, strict=False)
                if call.layer is layer and grad is not None
            ]
            if pairs:
                self._linear.append(_factors(pairs))
        for parameter, grad in zip(rest, grads[len(calls) :], strict=True):
            if grad is not None:
                self._rest[parameter] = grad
        self._tasks = source.tasks

    def gramian(self) -> Float[Tensor, "tasks tasks"]:
        """The sum of the layers' and the other parameters' Gramians."""
        total = torch.zeros(self._tasks, self._tasks, dtype=torch.float64)
        known = set(self._shared)
        for factors in self._linear:
            total += factors.gramian(factors.layer.bias in known)
        for part in self._rest.values():
            total += gramian(part.reshape(self._tasks, -1))
        return total

    def combine(self, weights: Float[Tensor, " tasks"]) -> list[Tensor]:
        """G^T w: each linear layer's gradient from the weighted sum of its cotangents."""
        combined: dict[Tensor, Tensor] = {}
        for factors in self._linear:
            cotangent = torch.tensordot(weights.to(factors.cotangents), factors.cotangents, dims=1)
            combined[factors.layer.weight] = cotangent.T @ factors.inputs
            if factors.layer.bias is not None:
                combined[factors.layer.bias] = cotangent.sum(dim=0)
        for parameter, part in self._rest.items():
            combined[parameter] = torch.tensordot(weights.to(part), part, dims=1)
        return [combined[p] if p in combined else torch.zeros_like(p) for p in self._shared]

    def blocks(self) -> list[Float[Tensor, "tasks _"]]:
        """Empty: the Jacobian is never formed."""
        return []

    def _usable(self, calls: Sequence[LinearCall]) -> list[LinearCall]:
        """The calls of layers whose weight is shared by the tasks and used by no other layer."""
        known: set[Tensor] = set(self._shared)
        owners: dict[Tensor, set[nn.Linear]] = {}
        for call in calls:
            owners.setdefault(call.layer.weight, set()).add(call.layer)
        own = {weight for weight, layers in owners.items() if len(layers) == 1}
        return [call for call in calls if call.layer.weight in known & own]


def _factors(pairs: Sequence[tuple[LinearCall, Tensor]]) -> LinearFactors:
    """All calls of one layer, in the weight's type, their rows one below the other."""
    layer = pairs[0][0].layer
    dtype = layer.weight.dtype
    inputs = [call.inputs.reshape(-1, layer.in_features).to(dtype) for call, _ in pairs]
    cotangents = [grad.reshape(len(grad), -1, layer.out_features).to(dtype) for _, grad in pairs]
    return LinearFactors(layer, torch.cat(inputs), torch.cat(cotangents, dim=1))
