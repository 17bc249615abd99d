"""Routes of some rows of a minibatch, and what came of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mtlgym.checks import as_array

LARGEST = float(np.finfo(np.float32).max)  # in place of what is not finite


@dataclass(eq=False)
class Routes:
    """Where some rows of the minibatch stand, all at one depth.

    Attributes:
        rows: of the minibatch.
        task: of each row, (rows,).
        state: the network's, a row's after another's.
        taken: the actions, (rows, depths); -1 for those to come.
        depth: decisions made.
    """

    rows: slice
    task: NDArray[np.int64]
    state: Tensor
    taken: NDArray[np.int64]
    depth: int = 0


@dataclass(frozen=True, eq=False)
class Verdict:
    """What came of finished routes.

    Attributes:
        task: (rows,).
        losses: with their graph, (rows,).
        correct: whether the class was right, (rows,).
        pay: the final reward, (rows,).
    """

    task: NDArray[np.int64]
    losses: Float[Tensor, " rows"]
    correct: NDArray[np.bool_]
    pay: NDArray[np.float64]

    def detached(self) -> "Verdict":
        """The same without a graph, on the CPU."""
        return replace(self, losses=self.losses.detach().cpu())

    @classmethod
    def joined(cls, parts: Sequence["Verdict"]) -> "Verdict":
        """What came of these rows, one part after another."""
        return cls(
            task=np.concatenate([part.task for part in parts]),
            losses=torch.cat([part.losses for part in parts]),
            correct=np.concatenate([part.correct for part in parts]),
            pay=np.concatenate([part.pay for part in parts]),
        )

    def values(self) -> dict[str, NDArray[Any]]:
        """What infos say of it; the losses in nats, those not finite as the largest number."""
        losses = np.nan_to_num(array(self.losses), nan=LARGEST, posinf=LARGEST)
        return {
            "task": self.task.copy(),
            "loss": losses.astype(np.float64),
            "correct": self.correct.copy(),
        }


def integers(name: str, value: Any, rows: int) -> NDArray[np.integer]:
    """The value as an array, if it is one integer a row.

    Raises:
        ValueError: if not; names the argument and the value.
    """
    given = as_array(value)
    if given.shape != (rows,) or given.dtype.kind not in "iu":
        raise ValueError(f"`{name}` must be {rows} integers, not {value!r}")
    return given


def array(values: Tensor) -> NDArray[Any]:
    """The values, without their graph."""
    return values.detach().cpu().numpy()
