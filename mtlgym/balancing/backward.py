"""The backward pass of a gradient method: from the tasks' losses to the parameters' `.grad`."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtlgym.balancing.gradients import GradientMethod
from mtlgym.balancing.jacobian.autotune import fastest, gradients_differ, weighted_gradient
from mtlgym.balancing.jacobian.hooks import TrunkHooks
from mtlgym.balancing.jacobian.linear_layers import Layers
from mtlgym.balancing.jacobian.strategies import STRATEGIES, Strategy, check_reducible
from mtlgym.balancing.jacobian.vjp import FromFeatures, UnsoundGradientError, VJPSource, vjp_source
from mtlgym.balancing.state import check_keys, load_state_dict, state_dict
from mtlgym.distributed.collectives import Group, average, mean_gradients
from mtlgym.lookup import lookup

AUTO = "auto"
HEAD_WEIGHTINGS = ("unit", "weighted")


class Aggregation:
    """Computes the tasks' gradients and adds a gradient method's direction to the `.grad` fields.

    The method balances the gradients g_t of slopes_t L_t: of the terms w_t log L_t, say, that a
    loss method weighs. The shared parameters get the method's direction. All other parameters get
    the gradient of sum_t u_t slopes_t L_t, with u the method's weights ("weighted") or ones
    ("unit").

    Source: Dai, Fei, Lu (UAI 2023), Algorithm 3.

    Attributes:
        method: the gradient method.
        shared: the shared parameters.
        strategy: how the gradients are computed: a key of `STRATEGIES`, or "auto" until the first
            backward pass has timed them.
        weights: the method's in the last backward pass, (tasks,), float64; empty before the first,
            and for a method whose direction is no weighted sum.
    """

    def __init__(
        self,
        method: GradientMethod,
        shared: Sequence[nn.Parameter],
        *,
        hooks: TrunkHooks | None = None,
        strategy: str = AUTO,
        head_weighting: str | None = None,
        group: Group = None,
    ) -> None:
        """Set up a fresh run of the method.

        Args:
            method: its settings are used, with a fresh state.
            shared: the parameters that all tasks share.
            hooks: those of the shared module; None if only its parameters are known.
            strategy: a key of `STRATEGIES`, or "auto" to take the fastest exact one.
            head_weighting: "unit", "weighted" or None for the default of the method's paper.
            group: processes whose gradients are averaged before the method sees them, each with
                its own share of the batch.

        Raises:
            ValueError: for an empty `shared`, or a name that is unknown or cannot be used here.
        """
        if not shared:
            raise ValueError("`shared` must hold at least one parameter, not none")
        if strategy != AUTO:
            lookup({AUTO: None, **STRATEGIES}, strategy, "strategy")
        if head_weighting is not None:
            lookup(dict.fromkeys(HEAD_WEIGHTINGS), head_weighting, "`head_weighting`")
        if group is not None:
            strategy = "heads_loop" if strategy == AUTO else strategy
            check_reducible(strategy)
        self.method = copy.copy(method)
        self.strategy = strategy
        self.weights = torch.empty(0, dtype=torch.float64)
        self.shared = tuple(dict.fromkeys(shared))
        self._hooks = hooks
        self._head_weighting = head_weighting or method.head_weighting
        self._group = group
        self._gradients: Strategy | None = None
        self._checked = False  # whether the strategy has been compared with plain backward passes

    def backward(
        self,
        losses: Float[Tensor, " tasks"],
        slopes: Float[Tensor, " tasks"],
        others: Sequence[Tensor],
    ) -> None:
        """Add the direction and the other parameters' gradients to the `.grad` fields.

        Args:
            losses: with their graph.
            slopes: the factor of each loss's gradient, in the losses' type and on their device.
            others: the parameters that are not shared.

        Raises:
            UnsoundGradientError: if a task's gradient is not finite; `.grad` is then unchanged.
            ValueError: if no shared parameter is in the graph, if the heads are not one for each
                task, or, in the first call, if the strategy does not fit the model.
        """
        try:
            self._backward(losses, slopes, tuple(others))
        finally:
            self.clear()

    def _backward(self, losses: Tensor, slopes: Tensor, others: tuple[Tensor, ...]) -> None:
        if self._hooks is not None and len(self._hooks.heads) not in (0, len(losses)):
            raise ValueError(
                f"`heads` must be one for each of the {len(losses)} tasks, "
                f"not {len(self._hooks.heads)}"
            )
        chosen = self.strategy
        if chosen == AUTO:
            needed = self.method.needs_jacobian
            chosen = fastest(self.shared, others, losses, slopes, self._hooks, jacobian=needed)
        spec = STRATEGIES[chosen]
        gradients = self._gradients or spec.kind(self.shared)
        source = vjp_source(losses, slopes, self._hooks if spec.from_trunk else None, others)
        gradients.differentiate(source, self._hooks.calls if self._hooks else ())
        if not self._checked and (isinstance(source, FromFeatures) or spec.kind is Layers):
            try:
                self._check_strategy(chosen, gradients, source, losses, slopes, others)
            except ValueError:
                if self.strategy != AUTO:
                    raise
                self.strategy = "loop"
                return self._backward(losses, slopes, others)
        method = copy.copy(self.method)
        weights, direction = self._direction(method, gradients, losses.detach())
        scales = weights.to(slopes) if self._head_weighting == "weighted" and len(weights) else None
        other_grads = self._other_gradients(source, losses, slopes, others, scales)
        if self._group is not None:
            # Copies, as a gradient may be another one's memory, or repeat its own.
            other_grads = mean_gradients(
                [g if g is None else g.clone() for g in other_grads], others, self._group
            )
        self._checked, self.strategy, self._gradients = True, chosen, gradients
        for parameter, grad in zip(
            (*self.shared, *others), (*direction, *other_grads), strict=True
        ):
            _add(parameter, grad)
        self.method, self.weights = method, weights
        return None

    def _check_strategy(
        self,
        name: str,
        gradients: Strategy,
        source: VJPSource,
        losses: Tensor,
        slopes: Tensor,
        others: Sequence[Tensor],
    ) -> None:
        """Compare a weighted sum of the tasks' gradients with the gradient of the weighted sum."""
        weights = torch.linspace(1.0, 2.0, len(losses)).to(slopes)
        scales = weights if self._head_weighting == "weighted" else None
        actual = [
            *gradients.combine(weights),
            *self._other_gradients(source, losses, slopes, others, scales),
        ]
        expected = [
            *weighted_gradient(losses, self.shared, slopes * weights),
            *weighted_gradient(losses, others, slopes if scales is None else slopes * scales),
        ]
        if gradients_differ(actual, expected, half=_is_half(self._hooks)):
            raise ValueError(
                f"strategy {name!r} does not give the gradients of this model, whose tasks do not "
                "part where the shared module ends, each into its own head in the tasks' order; "
                "use 'loop' or 'batched', or leave out `heads`"
            )

    def _direction(
        self, method: GradientMethod, gradients: Strategy, losses: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """The method's weights, empty if it has none, and one tensor for each shared parameter."""
        losses = losses.double()
        if self._group is not None:
            average([losses, *gradients.blocks()], self._group)
        gramian = gradients.gramian()
        broken = (~gramian.diagonal().isfinite()).nonzero().flatten().tolist()
        if broken or not gramian.isfinite().all():
            raise UnsoundGradientError(broken or range(len(gramian)))
        if not method.needs_jacobian:
            weights = method(gramian, losses.cpu())
            return weights, gradients.combine(weights)
        blocks = gradients.blocks()
        if not blocks:
            raise ValueError(
                f"strategy {self.strategy!r} makes no Jacobian, which {method} needs; use 'loop', "
                "'heads_loop', 'batched' or 'heads_batched'"
            )
        matrix = blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=1)
        direction = method(matrix, losses.cpu())
        sizes = [parameter.numel() for parameter in self.shared]
        parts = zip(direction.split(sizes), self.shared, strict=True)
        return torch.empty(0, dtype=torch.float64), [part.view(p.shape) for part, p in parts]

    def _other_gradients(
        self,
        source: VJPSource,
        losses: Tensor,
        slopes: Tensor,
        others: Sequence[Tensor],
        scales: Tensor | None,
    ) -> list[Tensor | None]:
        """The gradients of the parameters that are not shared; `scales` None means ones."""
        grad_of: dict[Tensor, Tensor | None] = {}
        if isinstance(source, FromFeatures) and source.other_gradients:
            assert self._hooks is not None
            owners = self._hooks.owners()
            for parameter, grad in zip(others, source.other_gradients, strict=True):
                if scales is None or grad is None:
                    grad_of[parameter] = grad
                elif parameter in owners:
                    grad_of[parameter] = grad * scales[owners[parameter]]
        rest = [parameter for parameter in others if parameter not in grad_of]
        if rest:
            slopes = slopes if scales is None else slopes * scales
            grads = torch.autograd.grad(losses, rest, slopes, retain_graph=True, allow_unused=True)
            grad_of.update(zip(rest, grads, strict=True))
        return [grad_of[parameter] for parameter in others]

    def clear(self) -> None:
        """Drop the recorded forward passes."""
        if self._hooks is not None:
            self._hooks.clear()

    def state_dict(self) -> dict[str, Any]:
        """The method's state, the strategy and the weights, copied."""
        return {
            "method": state_dict(self.method),
            "strategy": self.strategy,
            "weights": self.weights.clone(),
        }

    def check(self, state: dict[str, Any]) -> None:
        """Refuse a state that `load_state_dict` would refuse.

        Raises:
            ValueError: if the keys are not the method's.
        """
        check_keys(state, self.state_dict(), "Aggregation")
        check_keys(state["method"], state_dict(self.method), type(self.method).__name__)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state of an aggregation with the same arguments; training then continues from it.

        Raises:
            ValueError: if the keys are not the method's; the state is then unchanged.
        """
        self.check(state)
        load_state_dict(self.method, state["method"])
        if state["strategy"] != self.strategy:
            self.strategy, self._gradients = state["strategy"], None
        self.weights = state["weights"].clone()


def _is_half(hooks: TrunkHooks | None) -> bool:
    """Whether the trunk computes in a 16-bit type."""
    if hooks is None:
        return False
    seen = [call.inputs for call in hooks.calls]
    seen += [] if hooks.features is None else [hooks.features]
    return any(each.dtype.itemsize == 2 for each in seen)


def _add(parameter: Tensor, grad: Tensor | None) -> None:
    """Add to `.grad`, in the parameter's memory layout."""
    if grad is None:
        return
    if parameter.grad is not None:
        parameter.grad += grad
    elif grad.stride() == parameter.stride():
        parameter.grad = grad
    else:
        parameter.grad = torch.empty_like(parameter).copy_(grad)
