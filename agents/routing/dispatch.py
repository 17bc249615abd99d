"""Which of several agents decides on a sample."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.agents.bandits.arms import draw_arms
from mtlgym.agents.routing.episodes import Rows
from mtlgym.agents.routing.observations import Index
from mtlgym.agents.routing.wpl_table import Rule, Table
from mtlgym.lookup import lookup

KINDS = {"task": "an agent a task", "single": "one agent", "learned": "a dispatcher chooses"}


class Dispatch:
    """Gives each row, at the start of its episode, the agent that makes all of its decisions.

    "task": agent t decides for task t. "single": one agent decides for all. "learned": a
    dispatching agent, a weighted policy learner with a table over (task, agent) and the default
    settings of `WPL`, draws one of as many agents as there are tasks, by the sample's task, and
    learns from the episode's return.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), https://arxiv.org/abs/1711.01239, where the
    dispatched variant is compared with one agent a task.

    Attributes:
        kind: a key of `KINDS`.
        agents: how many there are to dispatch to.
        table: the dispatcher's own, (tasks, agents); None unless `kind` is "learned".
    """

    def __init__(
        self, kind: str, tasks: int, rng: np.random.Generator, rows: int | None, gamma: float = 1.0
    ) -> None:
        """No row has an agent yet.

        Args:
            kind: a key of `KINDS`.
            tasks: tasks that samples can be of.
            rng: the dispatcher's own stream of chance.
            rows: environments in the vector; None for a single one.
            gamma: discount in the returns that the dispatcher learns from.

        Raises:
            ValueError: for an unknown kind.
        """
        lookup(KINDS, kind, "dispatch")
        self.kind, self._rng, self._gamma = kind, rng, gamma
        self.agents = 1 if kind == "single" else tasks
        self.table = Table(tasks, tasks, Rule()) if kind == "learned" else None
        count = rows or 1
        self._task, self._agent = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self._return, self._discount = np.zeros(count), np.ones(count)

    def assign(self, task: Index, starting: Rows) -> Index:
        """The agents that decide, (N,); drawn for the rows that start, else those drawn before.

        Args:
            task: (N,).
            starting: (N,), rows whose episode's first decision this is.
        """
        if self.table is None:
            return self.greedy(task)
        if starting.any():
            new = task[starting]
            drawn = draw_arms(self.table.distribution(new, self._every(new)), self._rng)
            self._task[starting], self._agent[starting] = new, drawn
            self._return[starting], self._discount[starting] = 0.0, 1.0
        return self._agent.copy()

    def greedy(self, task: Index) -> Index:
        """The agents that decide in evaluation, (N,): those that the dispatcher finds likeliest.

        Args:
            task: (N,).
        """
        if self.table is not None:
            return self.table.policy[task].argmax(axis=1)
        return np.zeros_like(task) if self.kind == "single" else task.copy()

    def learn(self, rewards: NDArray[np.float64], real: Rows, ended: Rows) -> None:
        """Let the dispatcher take in a step, and the returns of the episodes that it ended.

        Args:
            rewards: (N,).
            real: (N,), rows in which there was a decision.
            ended: (N,), rows of those whose episode is over.
        """
        if self.table is None:
            return
        self._return += np.where(real, self._discount * rewards, 0.0)
        self._discount[real] *= self._gamma
        if ended.any():
            task = self._task[ended]
            self.table.learn(task, self._agent[ended], self._return[ended], self._every(task))

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that changes; empty where nothing does."""
        if self.table is None:
            return {}
        return {
            "table": self.table.state_dict(),
            "task": self._task.copy(),
            "agent": self._agent.copy(),
            "return": self._return.copy(),
            "discount": self._discount.copy(),
            "rng": self._rng.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        if self.table is None:
            return
        self.table.load_state_dict(state["table"])
        self._task, self._agent = state["task"].copy(), state["agent"].copy()
        self._return, self._discount = state["return"].copy(), state["discount"].copy()
        self._rng.bit_generator.state = state["rng"]

    def _every(self, task: Index) -> NDArray[np.bool_]:
        return np.ones((len(task), self.agents), np.bool_)
