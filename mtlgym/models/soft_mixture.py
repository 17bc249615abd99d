"""Layers whose blocks all see every sample and are averaged by attention."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mtlgym.models import blocks
from mtlgym.models.heads import HeadSizes


class SoftMixture(nn.Module):
    """Average a layer's blocks by weights that each task learns.

    v_{d+1} = sum_b softmax(logits_{t, d})_b block_{d, b}(v_d). Logits start at 0. The cost of a
    sample grows with the number of blocks.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), https://arxiv.org/abs/1711.01239, where it is
    called "soft-mixture-fc". What else than task and depth their attention sees is not known.

    Attributes:
        layers: the blocks, by depth, named as those of `Routed`.
        logits: of the attention, (tasks, depth, blocks).
    """

    def __init__(self, form: HeadSizes) -> None:
        """Build the blocks, initialised from torch's default generator.

        Raises:
            ValueError: if the form lets samples skip layers.
        """
        super().__init__()
        form.refuse_passes("a soft mixture")
        count = form.blocks_a_layer
        self.layers = blocks.layers(form, [count] * form.depth)
        self.logits = nn.Parameter(torch.zeros(form.tasks, form.depth, count))
        self.tasks, self.depth, self.width = form.tasks, form.depth, max(form.sizes)
        self.actions = 1
        self.allowed = np.ones((form.depth, 1), bool)

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
        """The blocks' average; there is no choice."""
        outputs = torch.stack([block(state) for block in self.layers[depth].children()], dim=1)
        weights = self.logits[:, depth].softmax(dim=1).index_select(0, task)  # (samples, blocks)
        return torch.einsum("nb,nbv->nv", weights, outputs)

    def value(
        self, state: Float[Tensor, "samples values"], task: Int[Tensor, " samples"]
    ) -> Float[Tensor, "samples values"]:
        """The state."""
        return state
