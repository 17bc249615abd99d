"""Layers in which each sample is routed to one block."""

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor, nn

from mtlgym.models import blocks
from mtlgym.models.heads import HeadSizes


class Routed(nn.Module):
    """Let every sample choose a block at each depth.

    v_{d+1} = block_{d, a_d}(v_d). At depth d the actions 0 to blocks - 1 are that layer's blocks.
    With `recursive`, the hidden layers share one pool of (depth - 1) x blocks, so a sample may use
    a block again, and the actions are the pool's blocks; the classification layer is separate. With
    `recursive` or `passes`, the last action is PASS, which keeps v as it is, and is possible at
    hidden depths alone.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), https://arxiv.org/abs/1711.01239, where it is
    called "routing-all-fc", and "routing-all-fc-recursive".

    Attributes:
        layers: the blocks, by depth and action; with `recursive`, the pool and the last layer.
    """

    def __init__(self, form: HeadSizes, recursive: bool = False) -> None:
        """Build the blocks, initialised from torch's default generator.

        Raises:
            ValueError: if PASS is an action and the features are not of the hidden layers' width.
        """
        super().__init__()
        self._recursive, self._passes = recursive, recursive or form.passes
        if self._passes and form.features != form.width:
            raise ValueError(
                "`width` must equal `features` where layers may be skipped or used again, not "
                f"{form.width} for {form.features} features; `width={form.features}` would do"
            )
        count, hidden = form.blocks_a_layer, form.depth - 1
        counts = [hidden * count if recursive else count] * hidden + [count]
        if recursive:
            pool = blocks.layer(hidden * count, form.width, form.width, last=False)
            self.layers = nn.ModuleList(
                [pool, blocks.layer(count, form.width, form.classes, last=True)]
            )
        else:
            self.layers = blocks.layers(form, counts)
        self.tasks, self.depth, self.width = form.tasks, form.depth, max(form.sizes)
        self.actions = max(counts) + self._passes
        self.allowed = np.arange(self.actions) < np.array(counts)[:, None]
        self.allowed[:-1, -1] |= self._passes

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
        """The outputs of the chosen blocks; the task is ignored."""
        hidden = depth < self.depth - 1
        place = depth if not self._recursive else 0 if hidden else -1
        choices: list[nn.Module | None] = [*self.layers[place].children()]
        if hidden and self._passes:
            choices.append(blocks.PASS)
        return blocks.route(choices, action, state)

    def value(
        self, state: Float[Tensor, "samples values"], task: Int[Tensor, " samples"]
    ) -> Float[Tensor, "samples values"]:
        """The state."""
        return state
