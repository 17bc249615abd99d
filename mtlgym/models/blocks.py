"""Blocks, the parts of a routed layer, and the routing of rows to blocks."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mtlgym.models.heads import HeadSizes

PASS = None  # stands for a block that gives what it takes


def block(inputs: int, outputs: int, last: bool) -> nn.Module:
    """A fully connected layer with ReLU, or without it where its outputs are class scores."""
    linear = nn.Linear(inputs, outputs)
    return linear if last else nn.Sequential(linear, nn.ReLU())


def layer(count: int, inputs: int, outputs: int, last: bool) -> nn.ModuleList:
    """That many blocks, of which each has parameters of its own."""
    return nn.ModuleList(block(inputs, outputs, last) for _ in range(count))


def layers(form: HeadSizes, counts: Sequence[int]) -> nn.ModuleList:
    """One layer for each depth, with `counts`, (depth,), blocks."""
    return nn.ModuleList(
        layer(count, inputs, outputs, last=depth == form.depth - 1)
        for depth, (count, (inputs, outputs)) in enumerate(
            zip(counts, pairwise(form.sizes), strict=True)
        )
    )


def route(
    blocks: Sequence[nn.Module | None],
    choice: Int[Tensor, " rows"],
    values: Float[Tensor, "rows inputs"],
) -> Float[Tensor, "rows outputs"]:
    """Apply the chosen block to each row, with one call for each block in use.

    y_i = blocks[choice_i](x_i). Blocks that no row chose are not called, so their parameters get
    no gradient at all.

    Args:
        blocks: that take rows and give rows; `PASS` leaves rows as they are.
        choice: indices of `blocks`.
        values: the rows.

    Raises:
        ValueError: for a choice past the last block, or no rows at all.
    """
    order = choice.argsort(stable=True)
    counts = choice.bincount(minlength=len(blocks)).tolist()
    parts = values.index_select(0, order).split(counts)
    done = [
        part if each is PASS else each(part)
        for each, part in zip(blocks, parts, strict=True)
        if len(part)
    ]
    if not done:
        raise ValueError("`values` must have at least one row, not 0")
    return torch.cat(done).index_select(0, order.argsort())
