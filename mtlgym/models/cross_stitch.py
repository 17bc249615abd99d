"""One network for each task, whose layers mix the outputs of all."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mtlgym.models import blocks
from mtlgym.models.heads import HeadSizes

OWN = 0.9  # weight at the start of what a task's own column computed


class CrossStitch(nn.Module):
    """Give each task a column of layers, and mix the columns' outputs after every layer.

    h_j = block_{d, j}(v_{d, j}) and v_{d+1, k} = sum_j alpha_{d, k, j} h_j, at the last depth on
    the class scores. alpha starts at .9 for a task's own column, and .1 shared equally by the
    others; at 1 where there is one task. The cost of a sample grows with the number of tasks.

    Source: Misra, Shrivastava, Gupta, Hebert (CVPR 2016), https://arxiv.org/abs/1604.03539, as
    "cross-stitch-all-fc" of Rosenbaum, Klinger, Riemer (ICLR 2018),
    https://arxiv.org/abs/1711.01239.
    Differs from the former, as far as is known, in that it has one alpha for all units of a layer,
    and mixes the class scores too.

    Attributes:
        layers: the blocks, by depth and task, named as those of `Routed`.
        alpha: the weight of column j's output in column k's input, (depth, tasks, tasks).
    """

    def __init__(self, form: HeadSizes) -> None:
        """Build the columns, initialised from torch's default generator.

        Raises:
            ValueError: if the form asks for a choice, or for other blocks than one a task.
        """
        super().__init__()
        form.refuse_passes("a cross-stitch network")
        form.refuse_blocks("a cross-stitch network")
        self.layers = blocks.layers(form, [form.tasks] * form.depth)
        self.alpha = nn.Parameter(_near_identity(form.tasks).repeat(form.depth, 1, 1))
        self.tasks, self.depth, self.width = form.tasks, form.depth, max(form.sizes)
        self.actions = 1
        self.allowed = np.ones((form.depth, 1), bool)

    def start(
        self, features: Float[Tensor, "samples features"]
    ) -> Float[Tensor, "samples tasks features"]:
        """The features, for each column."""
        return features[:, None].expand(-1, self.tasks, -1)

    def layer(
        self,
        depth: int,
        state: Float[Tensor, "samples tasks inputs"],
        task: Int[Tensor, " samples"],
        action: Int[Tensor, " samples"],
    ) -> Float[Tensor, "samples tasks outputs"]:
        """The mixed outputs of the columns; there is no choice."""
        columns = zip(self.layers[depth].children(), state.unbind(dim=1), strict=True)
        outputs = torch.stack([block(column) for block, column in columns], dim=1)
        return torch.einsum("kj,njv->nkv", self.alpha[depth], outputs)

    def value(
        self, state: Float[Tensor, "samples tasks values"], task: Int[Tensor, " samples"]
    ) -> Float[Tensor, "samples values"]:
        """The column of the sample's task."""
        return state[torch.arange(len(task), device=task.device), task]


def _near_identity(tasks: int) -> Float[Tensor, "tasks tasks"]:
    if tasks == 1:
        return torch.ones(1, 1)
    others = (1 - OWN) / (tasks - 1)
    return torch.full((tasks, tasks), others).fill_diagonal_(OWN)
