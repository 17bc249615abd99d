"""What all agents that route have in common: who decides, on what, and what came of it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym.agents.bandits.arms import check_share, draw_arms, read_arms
from mtlgym.agents.routing import observations as states
from mtlgym.agents.routing.dispatch import Dispatch
from mtlgym.agents.routing.episodes import Episodes, Rows, reset_at_once
from mtlgym.agents.routing.observations import Index, Seen
from mtlgym.agents.streams import generator


@dataclass(frozen=True, eq=False)
class Situation:
    """What N rows are to decide.

    Attributes:
        agent: (N,), who decides.
        seen: the observations.
        allowed: (N, arms), at least one in each row.
    """

    agent: Index
    seen: Seen
    allowed: NDArray[np.bool_]

    def take(self, rows: NDArray[Any]) -> "Situation":
        """Those rows alone, by a mask (N,) or by their numbers."""
        return Situation(self.agent[rows], self.seen.take(rows), self.allowed[rows])


@dataclass(frozen=True, eq=False)
class Step:
    """What was decided in N rows, and what came of it.

    Attributes:
        before: the situations that were decided on.
        chosen: (N,), arms.
        rewards: (N,).
        after: what followed: at an episode's end its last observation where the environment gave
            it, which it must where the episode was truncated; the same agents.
        real: (N,), False where a vector environment reset the row instead.
        terminated: (N,), rows whose episode's end has nothing after it.
        ended: (N,), rows whose episode is over, terminated or truncated.
    """

    before: Situation
    chosen: Index
    rewards: NDArray[np.float64]
    after: Situation
    real: Rows
    terminated: Rows
    ended: Rows


class Decisions:
    """Reads observations, masks and steps; remembers who decides and what was allowed.

    `info["action_mask"]`, if there, says by 1 which arms are allowed, (arms,) or (N, arms), for the
    observation that it came with; a row of zeros counts as one without a mask, as vector
    environments fill in what a row's info lacks. Vector environments reset their rows by
    `AutoresetMode.NEXT_STEP` or `SAME_STEP`, not `DISABLED`.

    Attributes:
        arms: what the action space says.
        states: what the observation space says.
        dispatch: who decides.
        rng: the stream of chance of the agents' own choices.
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        agent: str,
        seed: int | None,
        dispatch: str,
        gamma: float,
    ) -> None:
        """Nothing has been seen yet.

        Args:
            observation_space: the environment's; see `states.read`.
            action_space: the environment's; see `bandits.arms.read_arms`.
            agent: who asks, for messages.
            seed: start of the streams of chance; None takes fresh entropy.
            dispatch: a key of `dispatch.KINDS`.
            gamma: discount, in [0, 1].

        Raises:
            ValueError: for other spaces or settings.
        """
        self.arms = read_arms(action_space, agent)
        self.states = states.read(observation_space, self.arms.rows, agent)
        check_share("gamma", gamma)
        self.rng, dispatching = generator(seed).spawn(2)
        self.dispatch = Dispatch(dispatch, self.states.tasks, dispatching, self.arms.rows, gamma)
        self._episodes = Episodes(self.arms.rows)
        self._unassigned: Rows = self._episodes.starting.copy()
        self._allowed = np.ones(self.arms.shape, np.bool_)  # now; known from `act`'s info

    def consider(self, observation: Any, info: dict[str, Any]) -> Situation:
        """What is to be decided, for `act`: gives rows that start an agent, and keeps the mask.

        Raises:
            ValueError: for an observation or a mask that does not fit; nothing has changed then.
        """
        seen, allowed = self.states.of(observation), self._mask(info, self.arms.rows)
        self._allowed = allowed
        return Situation(self._assign(seen), seen, allowed)

    def look(self, observation: Any, info: dict[str, Any]) -> Situation:
        """What would be decided, by the agents that a dispatcher finds likeliest; changes nothing.

        The observation may be of one environment or of a vector of any length, N, whatever
        the agent's own vector is: so a whole data set can be routed at once.

        Raises:
            ValueError: for an observation or a mask that does not fit.
        """
        states = self.states.fit(observation)
        seen = states.of(observation)
        return Situation(self.dispatch.greedy(seen.task), seen, self._mask(info, states.rows))

    def draw(self, policy: NDArray[np.float64]) -> Any:
        """Arms drawn from the rows of a policy, (N, arms), as an action of the environment."""
        return self.arms.action(draw_arms(policy, self.rng))

    def answer(self, observation: Any, chosen: Index) -> Any:
        """Arms chosen for what `look` saw, (N,), in the form of the observation: an int for one."""
        return int(chosen[0]) if self.states.fit(observation).rows is None else chosen

    def step(
        self,
        observation: Any,
        action: Any,
        reward: Any,
        next_observation: Any,
        terminated: Any,
        truncated: Any,
        info: dict[str, Any],
    ) -> Step:
        """Read what `learn` is told, let the dispatcher learn, and go on to the next decision.

        Raises:
            ValueError: for what does not fit the spaces; nothing has changed then.
        """
        chosen, rewards = self.arms.chosen(action), self.arms.rewards(reward)
        over = self._rows("terminated", terminated)
        ended = over | self._rows("truncated", truncated)
        seen, following = self.states.of(observation), self.states.of(next_observation)
        mask = self._mask(info, self.arms.rows)
        after, allowed = self._last(following, mask, ended & ~over, info)
        before = Situation(self._assign(seen), seen, self._allowed)
        real = self._episodes.real(over, ended & ~over, info)
        self._unassigned = self._episodes.starting.copy()
        self._allowed = mask
        self.dispatch.learn(rewards, real, ended & real)
        following = Situation(before.agent, after, allowed)
        return Step(before, chosen, rewards, following, real, over & real, ended & real)

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
        """Continue from what `state_dict` returned.

        Raises:
            ValueError: for the state of decisions on other observations; nothing has changed then.
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
        own = self.states
        return {"tasks": own.tasks, "depths": own.depths, "features": own.features}

    def _assign(self, seen: Seen) -> Index:
        agent = self.dispatch.assign(seen.task, self._unassigned)
        self._unassigned = np.zeros_like(self._unassigned)
        return agent

    def _rows(self, name: str, given: Any) -> Rows:
        value = np.asarray(given)
        shape = () if self.arms.rows is None else (self.arms.rows,)
        if value.dtype != np.bool_ or value.shape != shape:
            raise ValueError(f"`{name}` must be booleans of shape {shape}, not {given!r}")
        return value.reshape(-1)

    def _mask(self, info: dict[str, Any], rows: int | None) -> NDArray[np.bool_]:
        """What the info allows, (N, arms)."""
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
        self, seen: Seen, allowed: NDArray[np.bool_], cut: Rows, info: dict[str, Any]
    ) -> tuple[Seen, NDArray[np.bool_]]:
        """What followed: in truncated rows that were reset at once, what came before the reset."""
        rows = np.flatnonzero(cut & reset_at_once(info, len(cut)))
        if not len(rows) or self.arms.rows is None:
            return seen, allowed
        seen, allowed = seen.take(np.arange(len(cut))), allowed.copy()
        last = self._mask(info.get("final_info", {}), self.arms.rows)
        if "final_obs" not in info:
            raise ValueError('`info` must have "final_obs" of the truncated rows that were reset')
        alone = replace(self.states, rows=None)
        for row in rows.tolist():
            seen.put(row, alone.of(info["final_obs"][row]))
            allowed[row] = last[row]
        return seen, allowed
