"""Random loss weighting."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym.record import Record


@dataclass
class RLW:
    """Draw new weights at every step.

    w = T softmax(u), u ~ N(0, 1) for each task.

    Source: Lin, Ye, Zhang, Tsang (TMLR 2022), https://arxiv.org/abs/2111.10603.
    Differs from it in that the weights sum to T, the number of tasks, not to 1, as in Dai, Fei, Lu
    (UAI 2023), so that the learning rate means the same as with equal weights.

    Draw k comes from a generator of its own, seeded by (`seed`, k): its state is one number.

    Attributes:
        seed: of the draws, a non-negative integer.
        transform: "none" trains sum w_t L_t, "log" sum w_t log L_t.

    Raises:
        ValueError: if `seed` is negative.
    """

    seed: int = 0
    transform: str = "none"
    needs_same_batch: ClassVar[bool] = False
    needs_epochs: ClassVar[bool] = False
    _draws: int = field(default_factory=int, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse a seed that the generator cannot take."""
        if self.seed < 0:
            raise ValueError(f"`seed` must be a non-negative integer, not {self.seed}")

    def __call__(self, record: Record) -> Float[Tensor, " tasks"]:
        """Return weights that sum to the number of tasks."""
        rng = np.random.default_rng([self.seed, self._draws])
        self._draws += 1
        tasks = len(record.losses)
        return tasks * torch.softmax(torch.from_numpy(rng.standard_normal(tasks)), dim=0)
