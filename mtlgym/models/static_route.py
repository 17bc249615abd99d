"""Layers that all tasks share, or of which each task has its own."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mtlgym.models import blocks
from mtlgym.models.heads import HeadSizes


class StaticRoute(nn.Module):
    """Send every sample the same way as all others of its task.

    Layers that are shared have one block; in the others task t uses block t.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), https://arxiv.org/abs/1711.01239, where it is
    called "task-specific-1-fc" with `own=1` and "task-specific-all-fc" with `own=form.depth`;
    `own=0` is one network for all tasks.

    Attributes:
        layers: the blocks, by depth and task, named as those of `Routed`.
    """

    def __init__(self, form: HeadSizes, own: int) -> None:
        """Build the blocks, initialised from torch's default generator.

        Args:
            form: sizes; `blocks` and `passes` do not apply.
            own: how many layers, from the last one back, each task has of its own.

        Raises:
            ValueError: if `own` is not in [0, form.depth], or the form asks for a choice.
        """
        super().__init__()
        form.refuse_passes("fixed routes")
        form.refuse_blocks("fixed routes")
        if not 0 <= own <= form.depth:
            raise ValueError(f"`own` must be a number of layers in [0, {form.depth}], not {own}")
        counts = [1] * (form.depth - own) + [form.tasks] * own
        self.layers = blocks.layers(form, counts)
        self.tasks, self.depth, self.width = form.tasks, form.depth, max(form.sizes)
        self.actions = 1
        self.allowed = np.ones((form.depth, 1), bool)
        self._shared = form.depth - own

    def start(self, features: Float[Tensor, "samples features"]) -> Float[Tensor, "samples values"]:
        """The features."""
        return features

    def layer(
        self,
        depth: int,
        state: Float[Tensor, "samples inputs"],
        task: Int[Tensor, " samples"],
        action: Int[Tensor, " samples"],
    ) -> Float[Tensor, "samples outputs"]:
        """The outputs of the tasks' blocks; there is no choice."""
        choice = torch.zeros_like(task) if depth < self._shared else task
        return blocks.route([*self.layers[depth].children()], choice, state)

    def value(
        self, state: Float[Tensor, "samples values"], task: Int[Tensor, " samples"]
    ) -> Float[Tensor, "samples values"]:
        """The state."""
        return state
