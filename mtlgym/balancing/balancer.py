"""A balancing method for your own training loop."""

import copy
import weakref
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtlgym import checks
from mtlgym.balancing.backward import AUTO, Aggregation
from mtlgym.balancing.gradients import GradientMethod
from mtlgym.balancing.jacobian.hooks import TrunkHooks
from mtlgym.balancing.jacobian.vjp import leaves
from mtlgym.balancing.limits import check_losses
from mtlgym.balancing.losses import Equal
from mtlgym.balancing.method import Method, parse, with_transform
from mtlgym.balancing.objective import slopes, weighted
from mtlgym.balancing.state import check_keys, load_state_dict, state_dict
from mtlgym.distributed.collectives import Group, average
from mtlgym.record import Record


class Balancer:
    """Weights the tasks' losses, or their gradients, or both, and backpropagates them.

        balancer = Balancer("igbv1+nash", shared=model.trunk, steps_per_epoch=len(loader))
        balancer.backward(losses)  # (tasks,), instead of losses.sum().backward()
        optimizer.step()

    With a gradient method, the gradients that it balances are those of the terms that the loss
    method weighs, w_t L_t or w_t log L_t. All gradients are added to the `.grad` fields, so they
    can be accumulated over several calls. A call that raises leaves the balancer unchanged.

    With DistributedDataParallel, call the model inside its `no_sync()` and give the `group`: the
    losses and gradients are averaged over its processes before the methods use them.

    Source: Dai, Fei, Lu (UAI 2023), https://arxiv.org/abs/2307.15429, Algorithm 3, for a loss
    method and a gradient method together.

    Attributes:
        transform: the objective: "none" for sum w_t L_t, "log" for sum w_t log L_t.
        weights: of the last `backward`, (tasks,); empty before the first.
        gradients: the gradient method and its backward pass, None without one.
    """

    def __init__(
        self,
        method: str | Method | GradientMethod,
        *,
        shared: nn.Module | Iterable[nn.Parameter] | None = None,
        heads: Iterable[nn.Module] | None = None,
        transform: str | None = None,
        steps_per_epoch: int | None = None,
        strategy: str = AUTO,
        head_weighting: str | None = None,
        group: Group = None,
    ) -> None:
        """Set up a fresh run of a method.

        Args:
            method: a text that `parse` reads, such as "dwa+mgda", or a method, whose settings are
                used with a fresh state.
            shared: the part of the model that all tasks share, for gradient methods: the module,
                called once in a forward pass and with one tensor as its output, or its
                parameters, which is slower. Loss methods ignore it.
            heads: one module for each task, in the tasks' order, each of which takes the shared
                module's output as its first argument; makes gradient methods faster.
            transform: "none" or "log" instead of the method's own.
            steps_per_epoch: calls of `backward` in an epoch, for methods that count epochs.
            strategy: how the tasks' gradients are computed: a key of
                `mtlgym.balancing.jacobian.STRATEGIES`, or "auto" to time the exact ones in the
                first call. Strategies round differently, so name one to repeat a run bit for bit.
            head_weighting: weights of the losses that train the parameters that are not shared:
                "weighted" for the gradient method's, "unit" for ones, or None for the default of
                the method's paper.
            group: processes that share each batch, `torch.distributed.group.WORLD` say.

        Raises:
            ValueError: for an unknown name, a `shared` that is empty or missing where a gradient
                method needs it, a transform that the method cannot take, or a `steps_per_epoch`
                that is missing or below 1.
            TypeError: if `method` is neither a text nor a method's instance.
        """
        loss_method, gradient_method = _methods(method)
        parameters = _parameters(shared)
        self._method = with_transform(loss_method, transform or loss_method.transform)
        self.gradients: Aggregation | None = None
        if gradient_method is not None:
            if parameters is None:
                raise ValueError(
                    f"{gradient_method} needs `shared`, the parameters that all tasks share"
                )
            hooks = _trunk_hooks(shared, heads)
            self.gradients = Aggregation(
                gradient_method,
                parameters,
                hooks=hooks,
                strategy=strategy,
                head_weighting=head_weighting,
                group=group,
            )
            if hooks is not None:
                weakref.finalize(self, hooks.attach())  # removed when the balancer is deleted
        if steps_per_epoch is None and self._method.needs_epochs:
            raise ValueError(
                f"{self._method} counts epochs: `steps_per_epoch` must be the number of batches "
                "in an epoch, such as len(loader), not None"
            )
        if steps_per_epoch is not None:
            checks.integer("steps_per_epoch", steps_per_epoch, least=1)
        self.transform = self._method.transform
        self.weights = torch.empty(0)
        self._shared = frozenset(parameters or ())
        self._group = group
        self._steps_per_epoch = steps_per_epoch
        self._step = 0
        self._before = torch.empty(0)  # losses that wait for `update`

    def __repr__(self) -> str:
        """Show the methods with their settings."""
        gradient = f", {self.gradients.method}" if self.gradients else ""
        return f"Balancer({self._method}{gradient})"

    def backward(self, losses: Float[Tensor, "..."]) -> Float[Tensor, " tasks"]:
        """Add the gradient of sum w_t transform(L_t), with w constant, to the `.grad` fields.

        With a gradient method, the shared parameters get its direction instead.

        Args:
            losses: (tasks,), in the tasks' units and with their graph.

        Returns:
            The weights, (tasks,), without a graph, in the losses' type and on their device: the
            loss method's, times the gradient method's if it has weights.

        Raises:
            ValueError: for losses of another shape, without a graph, not finite, or negative where
                the transform or the method requires positive ones; if no shared parameter is in
                their graph.
            UnsoundGradientError: if a task's gradient is not finite.
            RuntimeError: if the method needs a call of `update` first.
        """
        try:
            return self._backward(losses)
        finally:
            if self.gradients is not None:
                self.gradients.clear()

    def _backward(self, losses: Any) -> Tensor:
        if self._before.numel():
            raise RuntimeError(
                f"{self._method} learns from each batch twice: after optimizer.step(), call "
                "update(losses_after) with the same batch's new losses, then backward again"
            )
        if not isinstance(losses, Tensor):
            raise ValueError(f"`losses` must be a tensor, such as torch.stack(...), not {losses!r}")
        self._check(losses)
        if not losses.requires_grad:
            raise ValueError("`losses` must have a graph to go back through, not be detached")
        method = copy.copy(self._method)
        epoch = 1 + self._step // self._steps_per_epoch if self._steps_per_epoch else 1
        means = self._averaged(losses.detach())
        seen = means.cpu()
        weights = method(Record(seen, step=self._step, epoch=epoch))
        weights = weights.clamp(max=torch.finfo(losses.dtype).max).to(losses)
        if self.gradients is None:
            weighted(losses, weights, self.transform).sum().backward()
        else:
            others = [leaf for leaf in leaves(losses) if leaf not in self._shared]
            self.gradients.backward(losses, slopes(means, weights, self.transform), others)
            if len(self.gradients.weights):
                weights = weights * self.gradients.weights.to(weights)
        self._method, self._step, self.weights = method, self._step + 1, weights
        if method.needs_same_batch:
            self._before = seen.clone()
        return weights

    def update(self, losses_after: Float[Tensor, "..."]) -> None:
        """Pass a method that needs it, such as FAMO, the batch's losses after the optimizer step.

        Args:
            losses_after: (tasks,), the losses of the last `backward`'s batch after the step.

        Raises:
            ValueError: for losses of another shape, not finite or negative.
            RuntimeError: if the method does not need it, or not now.
        """
        if not self._before.numel():
            raise RuntimeError(f"{self._method} does not wait for `update`")
        self._check(losses_after)
        method: Any = copy.copy(self._method)
        method.update(self._before, self._averaged(losses_after.detach()).cpu())
        self._method, self._before = method, torch.empty(0)

    def state_dict(self) -> dict[str, Any]:
        """The state of the balancer and its methods: numbers, tensors and dicts of them, copied."""
        gradients = {} if self.gradients is None else {"gradients": self.gradients.state_dict()}
        return {
            "step": self._step,
            "weights": self.weights.clone(),
            "before": self._before.clone(),
            "method": state_dict(self._method),
            **gradients,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the state of a balancer with the same arguments; training then continues from it.

        Raises:
            ValueError: if the keys are not the method's.
        """
        check_keys(state, self.state_dict(), "Balancer")
        if self.gradients is not None:
            self.gradients.check(state["gradients"])
        load_state_dict(self._method, state["method"])
        if self.gradients is not None:
            self.gradients.load_state_dict(state["gradients"])
        self._step = state["step"]
        self.weights, self._before = state["weights"].clone(), state["before"].clone()

    def _check(self, losses: Tensor) -> None:
        if losses.ndim != 1 or not len(losses):
            raise ValueError(f"`losses` must be of shape (tasks,), not {tuple(losses.shape)}")
        if len(self.weights) and len(losses) != len(self.weights):
            raise ValueError(
                f"`losses` must be {len(self.weights)} as before, one a task, not {len(losses)}"
            )
        check_losses(losses.detach(), signed=self.transform != "log")

    def _averaged(self, losses: Tensor) -> Tensor:
        """The means of the losses over the group's processes."""
        means = losses.clone()
        average([means], self._group)
        return means


def _methods(method: Any) -> tuple[Method, GradientMethod | None]:
    """The loss method and the gradient method; equal weights if only a gradient method is named."""
    loss_method, gradient_method = parse(method) if isinstance(method, str) else (method, None)
    if isinstance(loss_method, GradientMethod) and not isinstance(loss_method, type):
        loss_method, gradient_method = None, loss_method
    if loss_method is None and gradient_method is not None:
        return Equal(gradient_method.transform), gradient_method
    if isinstance(loss_method, type) or not isinstance(loss_method, Method):
        raise TypeError(f"`method` must be a text or an instance of a method, not {method!r}")
    return loss_method, gradient_method


def _parameters(shared: Any) -> list[nn.Parameter] | None:
    """The trained parameters in `shared`; None if it is None."""
    if shared is None:
        return None
    given = shared.parameters() if isinstance(shared, nn.Module) else shared
    given = list(given) if isinstance(given, Iterable) and not isinstance(given, Tensor) else [None]
    if not all(isinstance(parameter, nn.Parameter) for parameter in given):
        raise ValueError(f"`shared` must be a module or a list of parameters, not {shared!r}")
    parameters = [parameter for parameter in given if parameter.requires_grad]
    if not parameters:
        raise ValueError("`shared` must hold at least one parameter that is trained, not none")
    return parameters


def _trunk_hooks(shared: Any, heads: Any) -> TrunkHooks | None:
    """The hooks of the shared module and the heads; None if `shared` is no module."""
    if heads is not None:
        if not isinstance(shared, nn.Module):
            raise ValueError("`heads` needs the module as `shared`, not its parameters")
        one = isinstance(heads, nn.Module) and not isinstance(heads, nn.ModuleList)
        given = list(heads) if isinstance(heads, Iterable) and not one else [None]
        if not all(isinstance(head, nn.Module) for head in given):
            raise ValueError(f"`heads` must be a list of modules, one a task, not {heads!r}")
        heads = given
    return TrunkHooks(shared, heads or ()) if isinstance(shared, nn.Module) else None
