"""The vector form of the bandit: many bandits, stepped as arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.checks import as_array
from mtlgym.envs import saved_state, vector_api
from mtlgym.envs.bandit.arms import Bandit, build, configure, draw
from mtlgym.envs.bandit.scores import ScoreRows

Step = tuple[
    NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]
]


class BanditVectorEnv(VectorEnv[NDArray[np.float32], Any, NDArray[Any]]):
    """Independent bandits; row i with seed s is bit-identical to `BanditEnv` with seed s + i.

    Depending on `autoreset_mode`, a row whose episode has ended is reset, with the same bandit, in
    the next step (`NEXT_STEP`, the default) or at once (`SAME_STEP`), with the infos of
    Gymnasium's `SyncVectorEnv`; with `DISABLED`, only by `reset`, with
    `options={"reset_mask": rows}`. After
    `reset`, the attributes `oracle`, `max_p`, `learning_increment` and `forget_increment` are
    read-only arrays, (num_envs, arms).

    Source: Glover and Hokamp (2019), section 4.1; see `BanditEnv`.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012
    oracle: NDArray[np.float64]
    max_p: NDArray[np.float64]
    learning_increment: NDArray[np.float64]
    forget_increment: NDArray[np.float64]

    def __init__(
        self,
        num_envs: int = 1,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        """Make the environments; `reset` draws their bandits.

        Args:
            num_envs: number of rows.
            autoreset_mode: when a row whose episode has ended is reset.
            render_mode: None; bandits in Gymnasium's `SyncVectorEnv` draw pictures.
            **options: fields of `BanditOptions`.

        Raises:
            ValueError: for an unknown option or a value that is not allowed; names what is allowed.
        """
        checks.integer("num_envs", num_envs, least=1)
        self._mode = vector_api.mode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self._mode}
        if render_mode is not None:
            raise ValueError(
                f"`render_mode` must be None, not {render_mode!r}: the vector form draws no "
                'pictures; vectorization_mode="sync" does'
            )
        self.options = configure(options, num_envs)
        self.num_envs, self.tasks, self.budget = num_envs, self.options.tasks, self.options.steps
        self.single_action_space = spaces.Discrete(self.options.arms)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.single_observation_space = self.options.observation_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._rows = ScoreRows(num_envs, self.options.arms, self.budget)
        self._bandits: Bandit | None = None
        self._drawn = np.empty((num_envs, 3, self.options.arms))
        self._seeds = [0] * num_envs  # of the rows' bandits
        self._over = np.zeros(num_envs, np.bool_)  # rows that the next step resets or refuses
        self._every = np.ones(num_envs, np.bool_)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]  # as SyncVectorEnv's
        """The seeds of the rows' bandits, (num_envs,).

        Raises:
            gymnasium.error.ResetNeeded: before `reset`.
        """
        self._require_bandits()
        return tuple(self._seeds)

    @property
    def is_open(self) -> bool:
        """Whether an episode of some row is under way."""
        return self._bandits is not None and not self._rows.over().all()

    def reset(
        self,
        *,
        seed: Any = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start new episodes; rows that get a seed draw new bandits.

        Args:
            seed: an integer, the seed of row 0, from which the next rows count up; or a list, tuple
                or array, one seed a row. A row with None keeps its bandit; the first reset draws
                it from fresh entropy.
            options: `reset_mask`, a boolean array (num_envs,) of the rows to reset, else all.

        Raises:
            ValueError: for seeds of another kind or number, or another mask; nothing has changed
                then.
            gymnasium.error.ResetNeeded: if the first reset leaves rows out.
        """
        seeds = vector_api.seeds(seed, self.num_envs)
        rows = vector_api.reset_mask(options, self.num_envs)
        self._draw(seeds, rows)
        self._rows.clear(rows)
        self._over[rows] = False
        values = {**self._rows.values(), "oracle": self.oracle.copy()}
        return self._rows.observe(), vector_api.masked(values, rows)

    def step(self, actions: Any) -> Step:
        """Pull an arm of every row, (num_envs,); the action of a row that is reset is ignored.

        Raises:
            ValueError: for actions that are not allowed; nothing has changed then.
            gymnasium.error.ResetNeeded: before `reset`; under `DISABLED`, after an episode's end.
        """
        bandits, restarted, infos = self._require_bandits(), self._over, {}
        due = bool(np.count_nonzero(restarted))  # faster than any()
        if due and self._mode is AutoresetMode.DISABLED:
            raise ResetNeeded(f"rows {np.flatnonzero(restarted).tolist()} are over: reset them")
        self._rows.pull(bandits, self._checked(actions))
        if due:
            self._rows.clear(restarted)
        values, truncated = self._rows.values(), self._rows.over()
        rewards = values[self.options.reward].copy()
        if self._mode is not AutoresetMode.SAME_STEP:
            self._over = truncated.copy()
        elif truncated.any():
            infos = vector_api.final(self._rows.observe(), values, truncated)
            self._rows.clear(truncated)
            values, restarted, due = self._rows.values(), truncated, True
        infos |= vector_api.masked(values, self._every)
        if due:
            infos |= vector_api.masked({"oracle": self.oracle.copy()}, restarted)
        terminated = np.zeros(self.num_envs, np.bool_)  # bandits have no end of their own
        return self._rows.observe(), rewards, terminated, truncated, infos

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that changes, in plain values and arrays.

        Raises:
            gymnasium.error.ResetNeeded: before `reset`.
        """
        self._require_bandits()
        state = {
            "drawn": self._drawn.copy(),
            "seeds": list(self._seeds),
            "scores": self._rows.state_dict(),
            "over": self._over.copy(),
        }
        return saved_state.wrap(state, self._description)

    def load_state_dict(self, state: Any) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Load a state of `state_dict`; give the observation and info at which it was taken.

        The rows then continue bit for bit.

        Raises:
            ValueError: for a state of another version, of other options or another number of rows;
                nothing has changed then.
        """
        content = saved_state.unwrap(state, self._description)
        self._draw_from(content["drawn"].copy(), list(content["seeds"]))
        self._rows.load_state_dict(content["scores"])
        self._over = content["over"].copy()
        return self._rows.observe(), vector_api.masked(self._rows.values(), self._every)

    @property
    def _description(self) -> dict[str, Any]:
        return {**self.options.description, "num_envs": self.num_envs}

    def _draw_from(self, drawn: NDArray[np.float64], seeds: list[int]) -> None:
        """Build the bandits of these parameters, which were drawn from these seeds."""
        self._drawn, self._seeds = drawn, seeds
        self._bandits = build(self.options, drawn)
        self.oracle, self.max_p = self._bandits.oracle, self._bandits.max_p
        self.learning_increment = self._bandits.learning_increment
        self.forget_increment = self._bandits.forget_increment

    def _require_bandits(self) -> Bandit:
        if self._bandits is None:
            raise ResetNeeded("there are no bandits yet: call reset() first")
        return self._bandits

    def _draw(self, seeds: Sequence[int | None], rows: NDArray[np.bool_]) -> None:
        """Draw new bandits for those of the rows that have a seed or no bandit yet."""
        first = self._bandits is None
        if first and not rows.all():
            raise ResetNeeded("there are no bandits yet: reset all rows before some of them")
        drawn, used = self._drawn.copy(), list(self._seeds)
        anew = [row for row in np.flatnonzero(rows).tolist() if first or seeds[row] is not None]
        for row in anew:
            rng, used[row] = seeding.np_random(seeds[row])
            drawn[row] = draw(self.options, rng)
        if anew:
            self._draw_from(drawn, used)

    def _checked(self, actions: Any) -> NDArray[np.int64]:
        given, arms = as_array(actions), self.options.arms
        if given.shape == (self.num_envs,) and given.dtype.kind in "iu":
            chosen = given.astype(np.int64, copy=False)
            if not np.count_nonzero(chosen.view(np.uint64) >= arms):  # negative ones are above, too
                return chosen
        raise ValueError(
            f"`actions` must be {self.num_envs} integers in [0, {arms}), not {actions!r}"
        )
