"""A balancing method inside a training loop of one's own."""

import copy
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtlgym.balancing.limits import check_losses
from mtlgym.balancing.method import Method, parse, with_transform
from mtlgym.balancing.objective import weighted
from mtlgym.balancing.state import check_keys, load_state_dict, state_dict
from mtlgym.record import Record


class Balancer:
    """Weighs the tasks' losses and backpropagates them.

        balancer = Balancer("igbv1", steps_per_epoch=len(loader))
        balancer.backward(losses)  # (tasks,), instead of losses.sum().backward()
        optimizer.step()

    A call that raises leaves the balancer as it was.

    Attributes:
        transform: the objective: "none" for sum w_t L_t, "log" for sum w_t log L_t.
        weights: of the last `backward`, (tasks,); empty before the first.
    """

    def __init__(
        self,
        method: str | Method,
        *,
        shared: Iterable[nn.Parameter] | None = None,
        transform: str | None = None,
        steps_per_epoch: int | None = None,
    ) -> None:
        """Set up a fresh run of a method.

        Args:
            method: a text that `parse` reads, or a loss method whose settings are used with a
                fresh state.
            shared: the parameters that all tasks share; loss methods make no use of them.
            transform: "none" or "log" instead of the method's own.
            steps_per_epoch: calls of `backward` in an epoch, for methods that count epochs.

        Raises:
            ValueError: for an unknown name, an empty `shared`, a transform that the method cannot
                take, or a `steps_per_epoch` that is missing or below 1.
            TypeError: if `method` is neither a text nor a method's instance.
        """
        chosen = parse(method)[0] if isinstance(method, str) else method
        if isinstance(chosen, type) or not isinstance(chosen, Method):
            raise TypeError(f"`method` must be a text or an instance of a method, not {method!r}")
        if shared is not None and not list(shared):
            raise ValueError("`shared` must hold at least one parameter, not none")
        self._method = with_transform(chosen, transform or chosen.transform)
        if steps_per_epoch is None and self._method.needs_epochs:
            raise ValueError(
                f"{self._method} counts epochs: `steps_per_epoch` must be the number of batches "
                "in an epoch, such as len(loader), not None"
            )
        if steps_per_epoch is not None and steps_per_epoch < 1:
            raise ValueError(f"`steps_per_epoch` must be 1 or more, not {steps_per_epoch}")
        self.transform = self._method.transform
        self.weights = torch.empty(0)
        self._steps_per_epoch = steps_per_epoch
        self._step = 0
        self._before = torch.empty(0)  # losses that wait for `update`

    def __repr__(self) -> str:
        """The method with its settings."""
        return f"Balancer({self._method})"

    def backward(self, losses: Float[Tensor, "..."]) -> Float[Tensor, " tasks"]:
        """Add the gradient of sum w_t transform(L_t), with w constant, to the `.grad` fields.

        Args:
            losses: (tasks,), in the tasks' units and with their graph.

        Returns:
            The weights, (tasks,), without a graph, in the losses' type and on their device.

        Raises:
            ValueError: for losses of another shape, without a graph, not finite, or negative where
                the transform or the method has no use for those.
            RuntimeError: if the method waits for `update`.
        """
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
        seen = losses.detach().cpu()
        weights = method(Record(seen, step=self._step, epoch=epoch))
        weights = weights.clamp(max=torch.finfo(losses.dtype).max).to(losses)
        weighted(losses, weights, self.transform).sum().backward()
        self._method, self._step, self.weights = method, self._step + 1, weights
        if method.needs_same_batch:
            self._before = seen.clone()
        return weights

    def update(self, losses_after: Float[Tensor, "..."]) -> None:
        """Tell a method that learns from each batch twice what the step did to the batch.

        Args:
            losses_after: (tasks,), the losses of the last `backward`'s batch after the step.

        Raises:
            ValueError: for losses of another shape, not finite or negative.
            RuntimeError: if the method does not wait for it.
        """
        if not self._before.numel():
            raise RuntimeError(f"{self._method} does not wait for `update`")
        self._check(losses_after)
        method: Any = copy.copy(self._method)
        method.update(self._before, losses_after.detach().cpu())
        self._method, self._before = method, torch.empty(0)

    def state_dict(self) -> dict[str, Any]:
        """Everything a run needs to go on: numbers, tensors and dicts of them, copied."""
        return {
            "step": self._step,
            "weights": self.weights.clone(),
            "before": self._before.clone(),
            "method": state_dict(self._method),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of a balancer with the same arguments.

        Raises:
            ValueError: if the keys are not the method's.
        """
        check_keys(state, self.state_dict(), "Balancer")
        load_state_dict(self._method, state["method"])
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
