"""Where the shared part of a model ends, seen from outside by hooks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

MOST = 64  # outputs that are kept while nobody goes back through them


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a linear layer.

    Attributes:
        layer: the layer.
        rows: its input, (..., in).
        output: the place in the graph where its output is made.
    """

    layer: nn.Linear
    rows: Tensor
    output: GradientEdge


class Tap:
    """Notes what a forward pass sends through a trunk and on to the heads.

    Each head that takes the trunk's output is given an alias of its own, a view, so that one
    backward pass through all heads gives every task's gradient at the trunk's output. Passes
    without gradients are not noted.

    Attributes:
        trunk: the shared module; its output is one tensor.
        heads: one module a task, each called once with the trunk's output as its first argument;
            none if they are not known.
        aliases: what each head took for the trunk's output, None for one that took something else.
        calls: the trunk's linear layers, call by call.
    """

    def __init__(self, trunk: nn.Module, heads: Sequence[nn.Module] = ()) -> None:
        """Know the modules; nothing is noted until the tap is attached."""
        self.trunk = trunk
        self.heads = tuple(heads)
        self.forget()

    def owners(self) -> dict[Tensor, int]:
        """The task of each parameter that belongs to one head alone."""
        found: dict[Tensor, list[int]] = {}
        for task, head in enumerate(self.heads):
            for parameter in head.parameters():
                found.setdefault(parameter, []).append(task)
        return {parameter: tasks[0] for parameter, tasks in found.items() if len(tasks) == 1}

    def attach(self) -> Callable[[], None]:
        """Note every forward pass from now on; gives what ends that."""
        handles: list[Any] = [self.trunk.register_forward_hook(self._leave)]
        handles += [
            layer.register_forward_hook(self._note)
            for layer in self.trunk.modules()
            if isinstance(layer, nn.Linear)
        ]
        handles += [head.register_forward_pre_hook(self._branch) for head in self.heads]

        def detach() -> None:
            for handle in handles:
                handle.remove()

        return detach

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Note the one forward pass inside, and nothing of earlier ones."""
        self.forget()
        detach = self.attach()
        try:
            yield
        finally:
            detach()

    @property
    def features(self) -> Tensor | None:
        """The trunk's output; None if there is none since `forget`, or more than one.

        None too if it was changed in place: gradients at it would be those of the new values.
        """
        output, version = self._outputs[0] if len(self._outputs) == 1 else (None, 0)
        return output if output is not None and output._version == version else None

    @property
    def branches(self) -> bool:
        """Whether every head took its own alias, so that the tasks part there and nowhere else."""
        return bool(self.aliases) and all(alias is not None for alias in self.aliases)

    def __getstate__(self) -> dict[str, Any]:
        """The modules alone, so that a model under a tap can be copied and pickled."""
        return {"trunk": self.trunk, "heads": self.heads}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A tap that has noted nothing."""
        vars(self).update(state)
        self.forget()

    def forget(self) -> None:
        """Let go of what was noted."""
        self._outputs: list[tuple[Tensor | None, int]] = []  # and their versions
        self.aliases: list[Tensor | None] = [None] * len(self.heads)
        self.calls: list[Call] = []

    def _note(self, layer: nn.Module, inputs: Any, output: Tensor) -> None:
        if torch.is_grad_enabled() and output.requires_grad:
            assert isinstance(layer, nn.Linear)
            self.calls.append(Call(layer, inputs[0].detach(), get_gradient_edge(output)))

    def _leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if torch.is_grad_enabled():
            known = isinstance(output, Tensor) and output.requires_grad
            if len(self._outputs) == MOST:
                self.forget()
            self._outputs.append((output, output._version) if known else (None, 0))

    def _branch(self, head: nn.Module, inputs: Any) -> Any:
        features = self.features
        if features is None or not inputs or inputs[0] is not features:
            return None
        alias = features.view_as(features)
        place = self.heads.index(head)
        # A head that is called twice has no one alias that all its gradient passes through.
        self.aliases[place] = alias if self.aliases[place] is None else None
        return (alias, *inputs[1:])
