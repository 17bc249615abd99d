"""A gradient method at work: from the tasks' losses to the parameters' `.grad`."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtlgym.balancing.gradients import GradientMethod
from mtlgym.balancing.jacobian.autotune import choose, differ, gradient
from mtlgym.balancing.jacobian.hooks import Tap
from mtlgym.balancing.jacobian.linear_layers import Layers
from mtlgym.balancing.jacobian.strategies import STRATEGIES, Strategy, check_reducible
from mtlgym.balancing.jacobian.vjp import FromFeatures, UnsoundGradientError, make_root
from mtlgym.balancing.state import check_keys, load_state_dict, state_dict
from mtlgym.distributed.collectives import Group, average, mean_gradients
from mtlgym.lookup import lookup

AUTO = "auto"
HEAD_WEIGHTINGS = ("unit", "weighted")


class Aggregation:
    """Adds to the shared parameters' `.grad` what a gradient method makes of the tasks' gradients.

    The method sees the gradients g_t of slopes_t L_t: of the terms w_t log L_t, say, that a loss
    method weighs. All other parameters get the gradient of sum_t u_t slopes_t L_t, with u the
    method's weights ("weighted") or ones ("unit").

    Source: Dai, Fei, Lu (UAI 2023), Algorithm 3.

    Attributes:
        method: the gradient method.
        shared: the shared parameters.
        strategy: how the gradients are made: a key of `STRATEGIES`, or "auto" until the first
            backward pass has timed them.
        weights: of the last backward pass, (tasks,), float64; empty before, and after a method
            whose direction is no weighted sum.
    """

    def __init__(
        self,
        method: GradientMethod,
        shared: Sequence[nn.Parameter],
        *,
        tap: Tap | None = None,
        strategy: str = AUTO,
        head_weighting: str | None = None,
        group: Group = None,
    ) -> None:
        """Set up a fresh run of the method.

        Args:
            method: its settings are used, with a fresh state.
            shared: the parameters that all tasks share.
            tap: where the shared module ends; None if that is not known.
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
        self._tap = tap
        self._heads = head_weighting or method.head_weighting
        self._group = group
        self._gradients: Strategy | None = None
        self._tried = False  # whether the strategy was seen to fit the model

    def backward(
        self,
        losses: Float[Tensor, " tasks"],
        slopes: Float[Tensor, " tasks"],
        others: Sequence[Tensor],
    ) -> None:
        """Add to `.grad`.

        Args:
            losses: with their graph, which is used up.
            slopes: in the losses' type and on their device.
            others: the parameters that are not shared.

        Raises:
            UnsoundGradientError: if a task's gradient is not finite; nothing has changed then.
            ValueError: if no shared parameter is in the graph, if the heads are not one for each
                task, or, in the first call, if the strategy does not fit the model.
        """
        try:
            self._backward(losses, slopes, tuple(others))
        finally:
            self.forget()

    def forget(self) -> None:
        """Let go of the forward passes that were noted."""
        if self._tap is not None:
            self._tap.forget()

    def _backward(self, losses: Tensor, slopes: Tensor, others: tuple[Tensor, ...]) -> None:
        if self._tap is not None and len(self._tap.heads) not in (0, len(losses)):
            raise ValueError(
                f"`heads` must be one for each of the {len(losses)} tasks, "
                f"not {len(self._tap.heads)}"
            )
        chosen = self.strategy
        if chosen == AUTO:
            needed = self.method.needs_jacobian
            chosen = choose(self.shared, others, losses, slopes, self._tap, jacobian=needed)
        plan = STRATEGIES[chosen]
        gradients = self._gradients or plan.kind(self.shared)
        root = make_root(losses, slopes, self._tap if plan.from_trunk else None, others)
        gradients.differentiate(root, self._tap.calls if self._tap else ())
        if not self._tried and (isinstance(root, FromFeatures) or plan.kind is Layers):
            try:
                self._try(chosen, gradients, root, losses, slopes, others)
            except ValueError:
                if self.strategy != AUTO:
                    raise
                self.strategy = "loop"
                return self._backward(losses, slopes, others)
        method = copy.copy(self.method)
        weights, direction = self._decide(method, gradients, losses.detach())
        scales = weights.to(slopes) if self._heads == "weighted" and len(weights) else None
        beyond = self._beyond(root, losses, slopes, others, scales)
        if self._group is not None:
            # Copies, as a gradient may be another one's memory, or repeat its own.
            beyond = mean_gradients(
                [g if g is None else g.clone() for g in beyond], others, self._group
            )
        self._tried, self.strategy, self._gradients = True, chosen, gradients
        for parameter, grad in zip((*self.shared, *others), (*direction, *beyond), strict=True):
            _add(parameter, grad)
        self.method, self.weights = method, weights
        return None

    def state_dict(self) -> dict[str, Any]:
        """What a run needs to go on, copied: the method's state and the strategy."""
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
        """Go on from a state of an aggregation with the same arguments.

        Raises:
            ValueError: if the keys are not the method's; nothing has changed then.
        """
        self.check(state)
        load_state_dict(self.method, state["method"])
        if state["strategy"] != self.strategy:
            self.strategy, self._gradients = state["strategy"], None
        self.weights = state["weights"].clone()

    def _decide(
        self, method: GradientMethod, gradients: Strategy, losses: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """The method's weights, if it has any, and the direction, a tensor a shared parameter."""
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

    def _try(
        self,
        name: str,
        gradients: Strategy,
        root: Any,
        losses: Tensor,
        slopes: Tensor,
        others: Sequence[Tensor],
    ) -> None:
        """Compare a weighted sum of the tasks' gradients with the gradient of the weighted sum."""
        weights = torch.linspace(1.0, 2.0, len(losses)).to(slopes)
        scales = weights if self._heads == "weighted" else None
        found = [*gradients.combine(weights), *self._beyond(root, losses, slopes, others, scales)]
        wanted = [
            *gradient(losses, self.shared, slopes * weights),
            *gradient(losses, others, slopes if scales is None else slopes * scales),
        ]
        if differ(found, wanted, half=_is_half(self._tap)):
            raise ValueError(
                f"strategy {name!r} does not give the gradients of this model, whose tasks do not "
                "part where the shared module ends, each into its own head in the tasks' order; "
                "use 'loop' or 'batched', or leave out `heads`"
            )

    def _beyond(
        self,
        root: Any,
        losses: Tensor,
        slopes: Tensor,
        others: Sequence[Tensor],
        scales: Tensor | None,
    ) -> list[Tensor | None]:
        """The other parameters' gradients; None for scales means ones."""
        found: dict[Tensor, Tensor | None] = {}
        if isinstance(root, FromFeatures) and root.beyond:
            assert self._tap is not None
            owners = self._tap.owners()
            for parameter, grad in zip(others, root.beyond, strict=True):
                if scales is None or grad is None:
                    found[parameter] = grad
                elif parameter in owners:
                    found[parameter] = grad * scales[owners[parameter]]
        rest = [parameter for parameter in others if parameter not in found]
        if rest:
            slopes = slopes if scales is None else slopes * scales
            grads = torch.autograd.grad(losses, rest, slopes, retain_graph=True, allow_unused=True)
            found.update(zip(rest, grads, strict=True))
        return [found[parameter] for parameter in others]


def _is_half(tap: Tap | None) -> bool:
    """Whether what flows through the trunk is of a 16-bit type."""
    if tap is None:
        return False
    seen = [call.rows for call in tap.calls] + ([] if tap.features is None else [tap.features])
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
