"""The counterfactual policy: a fixed choice among tasks, improved from logged decisions."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.agents.bandits.arms import check_arms_state, draw_arms, read_arms, settings_of
from mtlgym.agents.off_policy import policy_search
from mtlgym.agents.off_policy.estimators import distribution
from mtlgym.agents.off_policy.logged_sums import LoggedSums
from mtlgym.agents.streams import generator


@dataclass(eq=False)
class Counterfactual:
    """Choose tasks from a fixed distribution, which is improved offline between trainings.

    At an episode's end, `rounds` times, the policy becomes the one of the highest value, estimated
    from the decisions so far, plus `entropy` times its entropy, as `policy_search.improve` finds
    it; after that it is fixed. While an arm was never tried, the improvement waits for a later
    episode.

    All episodes' decisions are pooled, each with its propensity. With those of the last episode
    only the policies oscillate: tasks that one policy neglects score low and so give large rewards
    there, and the next policy neglects the others.

    Source: Glover, Hokamp (2019), https://arxiv.org/abs/1907.06214, sections 3.3 and 4.1.
    Differs from it in that all decisions are pooled; the text leaves open which are.

    Attributes:
        observation_space: any; observations are not used.
        action_space: `Discrete(arms)`, or `MultiDiscrete([arms] * rows)` for as many environments,
            each of which then has a policy of its own.
        seed: seed of its generator; None takes fresh entropy.
        rounds: number of improvements; 2 on the paper's bandit, 1 on GLUE, 0 leaves the policy.
        entropy: lambda, in the reward's unit per nat, at least 0; the paper chose .2 on the bandit
            and .15 on GLUE.
        estimator: "wis", the paper's, "ips" or "snips".
        population: points that CMA-ES tries in an iteration, at least 4.
        iterations: of CMA-ES, at most; 20 on the paper's bandit, 50 on GLUE.
        pool: whether to take all episodes' decisions, or only those since the last improvement.
        start: probabilities of the arms to start with, each above 0; None for equal ones.
        log: path of an `OffPolicyLog`, or a list, to fit to at first and pool with the episodes.
        tasks: names of the arms, so that a log of others is refused; None takes any.

    Raises:
        OSError: if a log cannot be read.
        ValueError: for another space, a setting out of its range, or a log of other arms or tasks.
    """

    observation_space: spaces.Space
    action_space: spaces.Space
    _: KW_ONLY
    seed: int | None = None
    rounds: int = 2
    entropy: float = 0.2
    estimator: str = "wis"
    population: int = 64
    iterations: int = 20
    pool: bool = True
    start: Any = None
    log: Any = None
    tasks: Any = None

    def __post_init__(self) -> None:
        """Check the settings, and fit the policy to the log."""
        self._arms = read_arms(self.action_space, "Counterfactual")
        policy_search.check(self.entropy, self.estimator, self.population, self.iterations)
        checks.integer("rounds", self.rounds, 0)
        checks.flag("pool", self.pool)
        rows, arms = self._arms.shape
        begun = distribution("start", self.start, arms)
        if not np.all(begun > 0):
            raise ValueError(f"`start` must be above 0 for each arm, not {self.start!r}")
        self.start = begun.tolist()
        self.tasks = None if self.tasks is None else tuple(self.tasks)
        self._rng = generator(self.seed)
        self._probabilities = np.tile(begun, (rows, 1))
        self._sums = LoggedSums(arms, rows=rows)
        self._improvements, self._resetting = np.zeros(rows, np.int64), np.zeros(rows, np.bool_)
        if self.log is not None:
            logged = LoggedSums.of(self.log)
            self.fit(logged)
            if self.pool:
                self._sums.moments += logged.moments[:, None]
                self._sums.count += logged.count

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """A copy of the policy; (arms,), or (rows, arms)."""
        return self._arms.public(self._probabilities)

    @property
    def improvements(self) -> int | NDArray[np.int64]:
        """Rounds of improvement made so far; (rows,) for several environments."""
        return int(self._improvements[0]) if self._arms.rows is None else self._improvements.copy()

    @property
    def practice(self) -> int:
        """Least number of episodes until the policy is final."""
        return int(self.rounds - self._improvements.min())

    def act(self, observation: Any, info: dict[str, Any]) -> Any:
        """A task drawn from the policy; an int, or (rows,)."""
        return self._arms.action(draw_arms(self._probabilities, self._rng))

    def learn(
        self,
        observation: Any,
        action: Any,
        reward: Any,
        next_observation: Any,
        terminated: Any,
        truncated: Any,
        info: dict[str, Any],
    ) -> None:
        """Store the decision, and improve the policy where an episode ended and a round is left.

        Of a row whose episode has ended, the next decision is not stored: a vector environment
        resets the row in that step. Nor is one with an `info["failure"]`, which has no reward.

        Raises:
            ValueError: for what is no arm, or a reward that is not finite; nothing is changed then.
        """
        chosen, rewards = self._arms.chosen(action), self._arms.rewards(reward)
        if self.practice == 0:
            return
        propensities = self._probabilities[np.arange(len(chosen)), chosen]
        failed = self._arms.rows is None and bool(info.get("failure"))
        self._sums.add_checked(chosen, propensities, rewards, ~self._resetting & (not failed))
        ended = np.atleast_1d(np.logical_or(terminated, truncated))
        self._resetting = ended & (self._arms.rows is not None)
        for row in np.flatnonzero(ended).tolist():
            self._finish(row)

    def fit(self, log: Any) -> None:
        """Make the policy the best one for logged decisions; the rounds left are not touched.

        Args:
            log: their sums, or what `LoggedSums.of` takes.

        Raises:
            OSError: if a log cannot be read.
            ValueError: for a damaged log, one of other arms or tasks, or an arm that was not tried.
        """
        sums = log if isinstance(log, LoggedSums) else LoggedSums.of(log)
        rows, arms = self._arms.shape
        others = self.tasks and sums.tasks not in ((), self.tasks)
        if others or sums.rewards.shape != (arms,):
            own = f"the tasks {self.tasks}" if others else f"{arms} arms, as the action space"
            raise ValueError(f"`log` must be of {own}, not of {sums.tasks or sums.rewards.shape}")
        self._probabilities = np.array([self._best(sums, row) for row in range(rows)])

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that a run changes: policy, sums, number of improvements and generator."""
        return {
            "settings": settings_of(self, self._arms),
            "rng": self._rng.bit_generator.state,
            "probabilities": self._probabilities.copy(),
            "moments": self._sums.moments.copy(),
            "count": self._sums.count.copy(),
            "improvements": self._improvements.copy(),
            "resetting": self._resetting.copy(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`; the run then continues bit-identically.

        Raises:
            ValueError: for the state of an agent with other arms or settings.
        """
        check_arms_state(state, self, self._arms)
        self._rng.bit_generator.state = state["rng"]
        self._probabilities = np.array(state["probabilities"])
        self._sums.moments, self._sums.count = np.array(state["moments"]), np.array(state["count"])
        self._improvements = np.array(state["improvements"])
        self._resetting = np.array(state["resetting"])

    def _finish(self, row: int) -> None:
        """Improve that row's policy, if a round is left and every arm was tried."""
        if self._improvements[row] == self.rounds or self._sums.untried[row].any():
            return
        self._probabilities[row] = self._best(self._sums.row(row), row)
        self._improvements[row] += 1
        if not self.pool:
            self._sums.clear(row)

    def _best(self, sums: LoggedSums, row: int) -> NDArray[np.float64]:
        """The best policy for these sums, searched from that row's."""
        return policy_search.improve(
            sums,
            rng=self._rng,
            entropy=self.entropy,
            estimator=self.estimator,
            population=self.population,
            iterations=self.iterations,
            start=self._probabilities[row],
        )
