"""Heads behind a trunk: layers of small blocks through which samples may be routed."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from mtlgym import checks


@dataclass(frozen=True)
class HeadSizes:
    """The sizes of a head.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), https://arxiv.org/abs/1711.01239: three fully
    connected layers, a block a task in each, which are 128 wide as far as is known.

    Attributes:
        features: length of the trunk's output vectors.
        classes: scores of each task.
        tasks: number of tasks that share the head.
        width: length of the vectors between two layers.
        blocks: number of blocks in a layer; None for one for each task.
        depth: layers, so decisions of a route; the last one gives the scores.
        passes: whether a sample may skip a hidden layer, in heads with a choice of blocks.

    Raises:
        ValueError: for a number below 1; names the field.
    """

    features: int
    classes: int
    tasks: int
    width: int = 128
    blocks: int | None = None
    depth: int = 3
    passes: bool = False

    def __post_init__(self) -> None:
        """Check every field."""
        for name in ("features", "classes", "tasks", "width", "depth"):
            checks.integer(name, getattr(self, name), least=1)
        if self.blocks is not None:
            checks.integer("blocks", self.blocks, least=1)
        checks.flag("passes", self.passes)

    @property
    def blocks_a_layer(self) -> int:
        """The number of blocks in a layer."""
        return self.tasks if self.blocks is None else self.blocks

    @property
    def sizes(self) -> tuple[int, ...]:
        """Lengths of the vectors before each layer and after the last one, (depth + 1,)."""
        return self.features, *[self.width] * (self.depth - 1), self.classes

    def refuse_passes(self, head: str) -> None:
        """Raise a ValueError if samples may skip layers, for a head that offers no choice."""
        if self.passes:
            raise ValueError(f"`passes` must be False for {head}: it lets no sample choose")

    def refuse_blocks(self, head: str) -> None:
        """Raise a ValueError if there are not as many blocks as tasks, for a head that has those.

        None, and the number of tasks, are right.
        """
        if self.blocks_a_layer != self.tasks:
            raise ValueError(
                f"`blocks` must be None or the number of tasks, {self.tasks}, for {head}, "
                f"not {self.blocks}"
            )


@runtime_checkable
class Head(Protocol):
    """A module from features to class scores, with one decision for each layer.

    `state` has one row for each sample, and rows are independent, so any of them may be removed.
    """

    @property
    def tasks(self) -> int:
        """The number of tasks; their indices are 0 to `tasks` - 1."""

    @property
    def depth(self) -> int:
        """The number of decisions in a route."""

    @property
    def actions(self) -> int:
        """The number of actions of a decision; 1 where there is no choice."""

    @property
    def allowed(self) -> NDArray[np.bool_]:
        """Which actions are possible at which depth, (depth, actions)."""

    @property
    def width(self) -> int:
        """Length of the longest vector of `value` at any depth, features and scores included."""

    def start(self, features: Float[Tensor, "samples features"]) -> Float[Tensor, "samples ..."]:
        """The state before the first layer."""

    def layer(
        self,
        depth: int,
        state: Float[Tensor, "samples ..."],
        task: Int[Tensor, " samples"],
        action: Int[Tensor, " samples"],
    ) -> Float[Tensor, "samples ..."]:
        """The state after the layer at this depth; the actions must be allowed there."""

    def value(
        self, state: Float[Tensor, "samples ..."], task: Int[Tensor, " samples"]
    ) -> Float[Tensor, "samples values"]:
        """The representation that a router sees; after the last layer, the class scores."""


def check_actions(head: Head, depth: int, action: Any) -> None:
    """Refuse actions that are not possible at this depth.

    Args:
        head: whose `allowed` says what is.
        depth: in [0, head.depth).
        action: integers of any shape, as what `numpy.asarray` takes.

    Raises:
        ValueError: names the depth, the first wrong action and those that are allowed.
    """
    value, allowed = np.asarray(action), np.flatnonzero(head.allowed[depth])
    wrong = value[~np.isin(value, allowed)] if value.dtype.kind in "iu" else value.reshape(-1)
    if len(wrong):
        raise ValueError(
            f"`action` at depth {depth} must be one of the integers {allowed.tolist()}, "
            f"not {wrong[0]}"
        )
