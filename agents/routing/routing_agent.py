"""The shell of all routing agents: observations, masks, episodes and dispatch.

An agent is a dataclass of hyper-parameters, whose methods `act`, `greedy`, `distribution`, `learn`,
`state_dict` and `load_state_dict` are the functions at the end of this file. It has

    _shell: a `RoutingShell`, which holds everything but the agent's rule;
    _parts: the rule's stateful parts, by their keys in the state dict;
    _policy(decisions): the distribution that arms are drawn from, (N, arms);
    _scores(decisions): scores of the arms, (N, arms), of which `greedy` takes the largest;
    _update(transitions): the learning rule.

A new agent is a file beside this one, and a row in `AGENTS` of `mtlgym.agents`.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.agents.bandits.arms import (
    check_arms_state,
    check_share,
    draw_arms,
    read_arms,
    settings_of,
)
from mtlgym.agents.routing.episodes import Episodes, Mask, reset_at_once
from mtlgym.agents.routing.observations import Index, ObservationBatch, observation_reader
from mtlgym.agents.routing.wpl_table import WPLSettings, WPLTable
from mtlgym.agents.streams import generator
from mtlgym.lookup import lookup


@dataclass(frozen=True, eq=False)
class DecisionBatch:
    """The inputs of N decisions.

    Attributes:
        agent: (N,), which of the dispatched agents decides.
        seen: the observations.
        allowed: (N, arms), at least one in each row.
    """

    agent: Index
    seen: ObservationBatch
    allowed: NDArray[np.bool_]

    def take(self, rows: NDArray[Any]) -> "DecisionBatch":
        """Select rows, by a mask (N,) or by their indices."""
        return DecisionBatch(self.agent[rows], self.seen.take(rows), self.allowed[rows])


@dataclass(frozen=True, eq=False)
class TransitionBatch:
    """The transitions of N rows in one step.

    Attributes:
        before: the inputs of the decisions.
        chosen: (N,), arms.
        rewards: (N,).
        after: the inputs of the next decisions, with the same agents; at an episode's end those
            with its last observation where the environment returned it, which it must where the
            episode was truncated.
        real: (N,), False where a vector environment reset the row instead.
        terminated: (N,), real rows whose episode terminated.
        ended: (N,), real rows whose episode terminated or was truncated.
    """

    before: DecisionBatch
    chosen: Index
    rewards: NDArray[np.float64]
    after: DecisionBatch
    real: Mask
    terminated: Mask
    ended: Mask


DISPATCHES = {"task": "an agent a task", "single": "one agent", "learned": "a dispatcher chooses"}


class Dispatch:
    """Assigns to each row, at the start of its episode, the agent of all of its decisions.

    "task": agent t decides for task t. "single": one agent decides for all. "learned": a
    dispatching agent, a weighted policy learner with a table over (task, agent) and the default
    settings of `WPL`, draws one of as many agents as there are tasks, by the sample's task, and
    learns from the episode's return.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), https://arxiv.org/abs/1711.01239, where the
    dispatched variant is compared with one agent a task.

    Attributes:
        kind: a key of `DISPATCHES`.
        agents: how many there are to dispatch to.
        table: the dispatcher's own, (tasks, agents); None unless `kind` is "learned".
    """

    def __init__(
        self, kind: str, tasks: int, rng: np.random.Generator, rows: int | None, gamma: float = 1.0
    ) -> None:
        """Start without assignments.

        Args:
            kind: a key of `DISPATCHES`.
            tasks: number of tasks that samples can be of.
            rng: the dispatcher's own generator.
            rows: environments in the vector; None for a single one.
            gamma: discount in the returns that the dispatcher learns from.

        Raises:
            ValueError: for an unknown kind.
        """
        lookup(DISPATCHES, kind, "dispatch")
        self.kind, self._rng, self._gamma = kind, rng, gamma
        self.agents = 1 if kind == "single" else tasks
        self.table = WPLTable(tasks, tasks, WPLSettings()) if kind == "learned" else None
        count = rows or 1
        self._task, self._agent = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self._return, self._discount = np.zeros(count), np.ones(count)

    def assign(self, task: Index, starting: Mask) -> Index:
        """The agents that decide, (N,); drawn for the rows that start, else those drawn before.

        Args:
            task: (N,).
            starting: (N,), rows whose episode's first decision this is.
        """
        if self.table is None:
            return self.greedy(task)
        if starting.any():
            new = task[starting]
            drawn = draw_arms(self.table.distribution(new, self._all_allowed(new)), self._rng)
            self._task[starting], self._agent[starting] = new, drawn
            self._return[starting], self._discount[starting] = 0.0, 1.0
        return self._agent.copy()

    def greedy(self, task: Index) -> Index:
        """The agents that decide in evaluation, (N,): the dispatcher's most probable ones.

        Args:
            task: (N,).
        """
        if self.table is not None:
            return self.table.policy[task].argmax(axis=1)
        return np.zeros_like(task) if self.kind == "single" else task.copy()

    def learn(self, rewards: NDArray[np.float64], real: Mask, ended: Mask) -> None:
        """Add a step's rewards to the returns, and learn from those of the episodes that ended.

        Args:
            rewards: (N,).
            real: (N,), rows in which there was a decision.
            ended: (N,), real rows whose episode is over.
        """
        if self.table is None:
            return
        self._return += np.where(real, self._discount * rewards, 0.0)
        self._discount[real] *= self._gamma
        if ended.any():
            task = self._task[ended]
            allowed = self._all_allowed(task)
            self.table.learn(task, self._agent[ended], self._return[ended], allowed)

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
        """Load a state returned by `state_dict`."""
        if self.table is None:
            return
        self.table.load_state_dict(state["table"])
        self._task, self._agent = state["task"].copy(), state["agent"].copy()
        self._return, self._discount = state["return"].copy(), state["discount"].copy()
        self._rng.bit_generator.state = state["rng"]

    def _all_allowed(self, task: Index) -> NDArray[np.bool_]:
        return np.ones((len(task), self.agents), np.bool_)


class RoutingShell:
    """Reads observations, masks and steps for an agent, and tracks its rows' episodes.

    `info["action_mask"]`, if present, marks with 1 the arms that are allowed, (arms,) or (N, arms),
    for the observation that it came with; a row of zeros counts as one without a mask, since
    vector environments fill in zeros for a row whose info has none. Vector environments reset
    their rows by `AutoresetMode.NEXT_STEP` or `SAME_STEP`, not `DISABLED`.

    Attributes:
        arms: the arms of the action space.
        reader: reads observations.
        dispatch: assigns the deciding agents.
        rng: the generator of the agents' own choices.
    """

    def __init__(self, agent: Any) -> None:
        """Read the spaces of an agent.

        Args:
            agent: has the fields `observation_space`, `action_space`, `seed`, `dispatch` and
                `gamma`; its class's name is used in messages.

        Raises:
            ValueError: for other spaces or settings.
        """
        name = type(agent).__name__
        self.arms = read_arms(agent.action_space, name)
        self.reader = observation_reader(agent.observation_space, self.arms.rows, name)
        check_share("gamma", agent.gamma)
        self.rng, dispatching = generator(agent.seed).spawn(2)
        self.dispatch = Dispatch(
            agent.dispatch, self.reader.tasks, dispatching, self.arms.rows, agent.gamma
        )
        self._episodes = Episodes(self.arms.rows)
        self._unassigned: Mask = self._episodes.starting.copy()
        self._allowed = np.ones(self.arms.shape, np.bool_)  # now; known from `act`'s info

    def begin(self, observation: Any, info: dict[str, Any]) -> DecisionBatch:
        """The inputs of the next decisions, for `act`: assigns agents, and stores the mask.

        Raises:
            ValueError: for an observation or a mask that does not fit; nothing has changed then.
        """
        seen, allowed = self.reader.read(observation), self._mask(info, self.arms.rows)
        self._allowed = allowed
        return DecisionBatch(self._assign(seen), seen, allowed)

    def look(self, observation: Any, info: dict[str, Any]) -> DecisionBatch:
        """The inputs of decisions in evaluation, of a dispatcher's likeliest agents.

        Nothing changes. The observation may be of one environment or of a vector of any length N,
        whatever the agent's own vector is, so a whole data set can be routed at once.

        Raises:
            ValueError: for an observation or a mask that does not fit.
        """
        reader = self.reader.fit(observation)
        seen = reader.read(observation)
        return DecisionBatch(self.dispatch.greedy(seen.task), seen, self._mask(info, reader.rows))

    def answer(self, observation: Any, chosen: Index) -> Any:
        """Arms chosen for `look`'s batch, (N,), in the form of the observation: an int for one."""
        return int(chosen[0]) if self.reader.fit(observation).rows is None else chosen

    def step(
        self,
        observation: Any,
        action: Any,
        reward: Any,
        next_observation: Any,
        terminated: Any,
        truncated: Any,
        info: dict[str, Any],
    ) -> TransitionBatch:
        """Read the arguments of `learn`, update the dispatcher, and advance the episodes.

        Raises:
            ValueError: for what does not fit the spaces; nothing has changed then.
        """
        chosen, rewards = self.arms.chosen(action), self.arms.rewards(reward)
        over = self._rows("terminated", terminated)
        ended = over | self._rows("truncated", truncated)
        seen, following = self.reader.read(observation), self.reader.read(next_observation)
        mask = self._mask(info, self.arms.rows)
        after, allowed = self._last(following, mask, ended & ~over, info)
        before = DecisionBatch(self._assign(seen), seen, self._allowed)
        real = self._episodes.real(over, ended & ~over, info)
        self._unassigned = self._episodes.starting.copy()
        self._allowed = mask
        self.dispatch.learn(rewards, real, ended & real)
        next_decisions = DecisionBatch(before.agent, after, allowed)
        return TransitionBatch(
            before, chosen, rewards, next_decisions, real, over & real, ended & real
        )

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that changes."""
        return {
            "spaces": self._sizes(),
            "episodes": self._episodes.state_dict(),
            "unassigned": self._unassigned.copy(),
            "allowed": self._allowed.copy(),
            "dispatch": self.dispatch.state_dict(),
            "rng": self.rng.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`.

        Raises:
            ValueError: for a state with other observations; nothing has changed then.
        """
        if state["spaces"] != self._sizes():
            raise ValueError(
                f"`state` is of observations with {state['spaces']}, not {self._sizes()}"
            )
        self._episodes.load_state_dict(state["episodes"])
        self._unassigned, self._allowed = state["unassigned"].copy(), state["allowed"].copy()
        self.dispatch.load_state_dict(state["dispatch"])
        self.rng.bit_generator.state = state["rng"]

    def _sizes(self) -> dict[str, int]:
        own = self.reader
        return {"tasks": own.tasks, "depths": own.depths, "features": own.features}

    def _assign(self, seen: ObservationBatch) -> Index:
        agent = self.dispatch.assign(seen.task, self._unassigned)
        self._unassigned = np.zeros_like(self._unassigned)
        return agent

    def _rows(self, name: str, given: Any) -> Mask:
        value = np.asarray(given)
        shape = () if self.arms.rows is None else (self.arms.rows,)
        if value.dtype != np.bool_ or value.shape != shape:
            raise ValueError(f"`{name}` must be booleans of shape {shape}, not {given!r}")
        return value.reshape(-1)

    def _mask(self, info: dict[str, Any], rows: int | None) -> NDArray[np.bool_]:
        """The arms that the info allows, (N, arms)."""
        shape = (rows or 1, self.arms.count)
        mask = np.asarray(info.get("action_mask", np.ones(shape)))
        if mask.shape != shape and (mask.shape != shape[1:] or rows is not None):
            raise ValueError(
                f'`info["action_mask"]` must have an entry for each of {shape[1]} arms'
                f"{'' if rows is None else f' in each of {rows} rows'}, not the shape {mask.shape}"
            )
        allowed = mask.reshape(shape) != 0
        return allowed | ~allowed.any(axis=1, keepdims=True)

    def _last(
        self, seen: ObservationBatch, allowed: NDArray[np.bool_], cut: Mask, info: dict[str, Any]
    ) -> tuple[ObservationBatch, NDArray[np.bool_]]:
        """The next observations, in truncated rows that were reset the last before the reset."""
        rows = np.flatnonzero(cut & reset_at_once(info, len(cut)))
        if not len(rows) or self.arms.rows is None:
            return seen, allowed
        seen, allowed = seen.take(np.arange(len(cut))), allowed.copy()
        last = self._mask(info.get("final_info", {}), self.arms.rows)
        if "final_obs" not in info:
            raise ValueError('`info` must have "final_obs" of the truncated rows that were reset')
        single = replace(self.reader, rows=None)
        for row in rows.tolist():
            seen.put(row, single.read(info["final_obs"][row]))
            allowed[row] = last[row]
        return seen, allowed


# The methods of every routing agent, which its class takes over by name.


def distribution(self: Any, observation: Any, info: dict[str, Any]) -> NDArray[np.float64]:
    """The distribution that arms are drawn from, (N, arms); of a dispatcher's likeliest agent.

    Raises:
        ValueError: for an observation or a mask that does not fit.
    """
    return self._policy(self._shell.look(observation, info))


def act(self: Any, observation: Any, info: dict[str, Any]) -> Any:
    """An arm drawn from the policy, an int, or one for each row, (rows,).

    Raises:
        ValueError: for an observation or a mask that does not fit; nothing has changed then.
    """
    shell = self._shell
    policy = self._policy(shell.begin(observation, info))
    return shell.arms.action(draw_arms(policy, shell.rng))


def greedy(self: Any, observation: Any, info: dict[str, Any]) -> Any:
    """The first arm of the highest score, for evaluation: draws nothing and changes nothing.

    The observation may also be of a vector of any length N, whatever the agent's own is.

    Raises:
        ValueError: for an observation or a mask that does not fit.
    """
    scores = self._scores(self._shell.look(observation, info))
    return self._shell.answer(observation, scores.argmax(axis=1))


def learn(
    self: Any,
    observation: Any,
    action: Any,
    reward: Any,
    next_observation: Any,
    terminated: Any,
    truncated: Any,
    info: dict[str, Any],
) -> None:
    """Learn from one step.

    Raises:
        ValueError: for what does not fit the spaces, or a reward that is not finite; nothing has
            changed then.
    """
    self._update(
        self._shell.step(observation, action, reward, next_observation, terminated, truncated, info)
    )


def state_dict(self: Any) -> dict[str, Any]:
    """A copy of all that a run changes."""
    return {
        "settings": settings_of(self, self._shell.arms),
        "decisions": self._shell.state_dict(),
        **{key: part.state_dict() for key, part in self._parts.items()},
    }


def load_state_dict(self: Any, state: dict[str, Any]) -> None:
    """Load a state returned by `state_dict`; the run then continues bit-identically.

    Raises:
        ValueError: for the state of an agent with other spaces or settings.
    """
    check_arms_state(state, self, self._shell.arms)
    self._shell.load_state_dict(state["decisions"])
    for key, part in self._parts.items():
        part.load_state_dict(state[key])
