"""The latest decisions of each task, and the collaboration reward for repeating them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LENGTH = 256  # decisions


class Collaboration:
    """The last decisions of each task at each depth.

    The collaboration reward of an action is rho times the share of the task's last decisions at
    that depth that were the same, in [0, rho]. It makes agents settle on routes, so that each block
    is trained on the samples that it is later used for. Decisions count once their minibatch was
    trained on; before the first one each action has the share 1 / actions.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), as far as it is published: rho times the average
    probability with which the agent chose the block in its history.
    Differs from it in that the history holds decisions, whose shares estimate these probabilities.
    """

    def __init__(self, shape: tuple[int, int, int], shared: bool, length: int = LENGTH) -> None:
        """Start with an empty history.

        Args:
            shape: tasks, depths, actions.
            shared: whether an action's share is taken over the decisions of all tasks.
            length: number of decisions kept for each task and depth.
        """
        tasks, depths, self._actions = shape
        self._shared = shared
        self._past = np.full((tasks, depths, length), -1, np.int64)
        self._seen = np.zeros(tasks, np.int64)
        self._shares = np.full(shape, 1 / self._actions)

    @property
    def counts(self) -> NDArray[np.int64]:
        """How often each action occurs in the history, (tasks, depths, actions)."""
        tasks, depths, _ = self._past.shape
        cells = np.arange(tasks * depths).reshape(tasks, depths, 1) * self._actions
        kept = self._past >= 0
        flat = (cells + self._past)[kept]
        return np.bincount(flat, minlength=tasks * depths * self._actions).reshape(
            tasks, depths, self._actions
        )

    def shares(self, depth: int, task: NDArray[Any], action: NDArray[Any]) -> NDArray[np.float64]:
        """Each action's share in the history of its task at the depth, (rows,), in [0, 1]."""
        return self._shares[task, depth, action]

    def record(self, task: NDArray[np.int64], routes: NDArray[np.int64]) -> None:
        """Add the routes, (rows, depths), of these tasks, (rows,), in the rows' order."""
        length = self._past.shape[2]
        order = np.argsort(task, kind="stable")
        counts = np.bincount(task, minlength=len(self._seen))
        starts = np.concatenate([[0], counts.cumsum()[:-1]])
        rank = np.arange(len(task)) - starts[task[order]]  # within the task
        places = (self._seen[task[order]] + rank) % length
        fresh = rank >= counts[task[order]] - length  # each place is written at most once
        rows = order[fresh]
        self._past[task[rows], :, places[fresh]] = routes[rows]
        self._seen += counts
        self._update()

    def state_dict(self) -> dict[str, Any]:
        """The decisions in the history."""
        return {"past": self._past.copy(), "seen": self._seen.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`."""
        self._past, self._seen = state["past"].copy(), state["seen"].copy()
        self._update()

    def _update(self) -> None:
        counts = self.counts
        if self._shared:
            counts = np.broadcast_to(counts.sum(axis=0), counts.shape)
        totals = counts.sum(axis=2, keepdims=True)
        uniform = np.full(counts.shape, 1 / self._actions)
        self._shares = np.divide(counts, totals, out=uniform, where=totals > 0)
