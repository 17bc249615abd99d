"""Hooks that record the output of the shared part of a model and the calls of its linear layers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

MAX_OUTPUTS = 64  # trunk outputs that are kept while no backward pass clears them


@dataclass(frozen=True, eq=False)
class LinearCall:
    """One call of a linear layer.

    Attributes:
        layer: the layer.
        inputs: its input, (..., in), without its graph.
        output: the edge of the graph at which its output is computed.
    """

    layer: nn.Linear
    inputs: Tensor
    output: GradientEdge


class TrunkHooks:
    """Records a trunk's output in the forward pass and what each head takes of it.

    Each head that takes the trunk's output is given an alias of its own, a view, so that one
    backward pass through all heads gives every task's gradient at the trunk's output. Passes
    without gradients are not recorded.

    Attributes:
        trunk: the shared module; its output is one tensor.
        heads: one module for each task, each called once with the trunk's output as its first
            argument; none if they are not known.
        aliases: the alias of the trunk's output that each head took, None for a head that took
            something else.
        calls: the calls of the trunk's linear layers, in order.
    """

    def __init__(self, trunk: nn.Module, heads: Sequence[nn.Module] = ()) -> None:
        """Keep the modules; nothing is recorded until the hooks are attached."""
        self.trunk = trunk
        self.heads = tuple(heads)
        self.clear()

    def attach(self) -> Callable[[], None]:
        """Record every forward pass from now on; returns a function that removes the hooks."""
        handles: list[Any] = [self.trunk.register_forward_hook(self._record_output)]
        handles += [
            layer.register_forward_hook(self._record_call)
            for layer in self.trunk.modules()
            if isinstance(layer, nn.Linear)
        ]
        handles += [head.register_forward_pre_hook(self._give_alias) for head in self.heads]

        def detach() -> None:
            for handle in handles:
                handle.remove()

        return detach

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Clear the record, then record the forward pass inside."""
        self.clear()
        detach = self.attach()
        try:
            yield
        finally:
            detach()

    def clear(self) -> None:
        """Drop everything that was recorded."""
        self._outputs: list[tuple[Tensor | None, int]] = []  # and their versions
        self.aliases: list[Tensor | None] = [None] * len(self.heads)
        self.calls: list[LinearCall] = []

    @property
    def features(self) -> Tensor | None:
        """The trunk's output; None if none was recorded since `clear`, or more than one.

        None too if it was changed in place: gradients at it would be those of the new values.
        """
        output, version = self._outputs[0] if len(self._outputs) == 1 else (None, 0)
        return output if output is not None and output._version == version else None

    @property
    def all_aliased(self) -> bool:
        """Whether every head took its own alias, so that the tasks branch there only."""
        return bool(self.aliases) and all(alias is not None for alias in self.aliases)

    def owners(self) -> dict[Tensor, int]:
        """The task of each parameter that belongs to exactly one head."""
        tasks_of: dict[Tensor, list[int]] = {}
        for task, head in enumerate(self.heads):
            for parameter in head.parameters():
                tasks_of.setdefault(parameter, []).append(task)
        return {parameter: tasks[0] for parameter, tasks in tasks_of.items() if len(tasks) == 1}

    def __getstate__(self) -> dict[str, Any]:
        """The modules alone, so that a model with these hooks can be copied and pickled."""
        return {"trunk": self.trunk, "heads": self.heads}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the modules, with an empty record."""
        vars(self).update(state)
        self.clear()

    def _record_call(self, layer: nn.Module, inputs: Any, output: Tensor) -> None:
        if torch.is_grad_enabled() and output.requires_grad:
            assert isinstance(layer, nn.Linear)
            self.calls.append(LinearCall(layer, inputs[0].detach(), get_gradient_edge(output)))

    def _record_output(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if torch.is_grad_enabled():
            known = isinstance(output, Tensor) and output.requires_grad
            if len(self._outputs) == MAX_OUTPUTS:
                self.clear()
            self._outputs.append((output, output._version) if known else (None, 0))

    def _give_alias(self, head: nn.Module, inputs: Any) -> Any:
        features = self.features
        if features is None or not inputs or inputs[0] is not features:
            return None
        alias = features.view_as(features)
        place = self.heads.index(head)
        # A head that is called twice has no one alias that all its gradient passes through.
        self.aliases[place] = alias if self.aliases[place] is None else None
        return (alias, *inputs[1:])
