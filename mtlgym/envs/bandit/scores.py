"""The arithmetic of bandits: of one in Python floats, of many in arrays, with identical results.

For a few arms, Python's floats are faster than arrays. Both forms do the same operations in the
same order, and add up over arms from the first to the last, which NumPy's own sums do not.
"""

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.envs.bandit.arms import Bandit

ROW_ARRAYS = ("score", "since", "observed", "gain", "improvement")  # of `ScoreRows`


class Scores:
    """The scores of one bandit in an episode.

    Attributes:
        arms: the latest scores; a new list after every pull.
        step: pulls so far.
    """

    def __init__(self, bandit: Bandit, budget: int) -> None:
        """Start an episode."""
        self._rises = bandit.learning_increment.tolist()
        self._tops = bandit.max_p.tolist()
        self._falls = bandit.forget_increment.tolist()
        self._budget = budget
        self.arms, self.step = [0.0] * len(self._tops), 0
        self._seen = [0.0] * len(self._tops)  # each arm's score after its last pull
        self._pulled = [0] * len(self._tops)  # the step of each arm's last pull
        self._gain = self._improvement = 0.0

    def pull(self, arm: int) -> None:
        """Pull an arm, then let all arms forget."""
        before = self.arms[arm]
        learnt = self.arms.copy()
        learnt[arm] = min(before + self._rises[arm], self._tops[arm])
        self.arms = [
            score - fall if score > fall else 0.0
            for score, fall in zip(learnt, self._falls, strict=True)
        ]
        after = self.arms[arm]
        self._gain = after - before
        self._improvement = 1.0 - after if after > before else 0.0
        self.step += 1
        self._seen[arm], self._pulled[arm] = after, self.step

    def observe(self) -> NDArray[np.float32]:
        """The observation, a fresh array (2 arms + 1,)."""
        step, budget = self.step, self._budget
        since = [(step - pulled) / budget for pulled in self._pulled]
        return np.array([*self._seen, *since, step / budget], np.float32)

    def values(self) -> dict[str, Any]:
        """The entries of an info, in a fresh dict."""
        return {
            "score": np.array(self.arms),
            "mean_score": reduce(add, self.arms) / len(self.arms),
            "prediction_gain": self._gain,
            "improvement": self._improvement,
            "step": self.step,
        }

    def state_dict(self) -> dict[str, Any]:
        """The values that a pull changes."""
        return {
            "arms": np.array(self.arms),
            "seen": np.array(self._seen),
            "pulled": np.array(self._pulled),
            "last": [self.step, self._gain, self._improvement],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state returned by `state_dict` of the same bandit's scores."""
        self.arms, self._seen = state["arms"].tolist(), state["seen"].tolist()
        self._pulled = state["pulled"].tolist()
        self.step, self._gain, self._improvement = state["last"]


class ScoreRows:
    """The scores of many bandits in their episodes, a row each."""

    def __init__(self, rows: int, arms: int, budget: int) -> None:
        """Start all episodes."""
        self._arms, self._budget = arms, budget
        self._score = np.zeros((rows, arms))
        self._since = np.zeros((rows, arms + 1))  # steps since each arm's pull, and the start
        self._observed = np.zeros((rows, 2 * arms + 1), np.float32)
        self._row = np.arange(rows)
        self._first = self._row * arms  # index of a row's first arm in flattened arrays
        self._gain, self._improvement = np.zeros(rows), np.zeros(rows)

    def pull(self, bandits: Bandit, arm: NDArray[np.int64]) -> None:
        """Pull one arm of every row, (rows,), then let all of them forget."""
        at = self._first + arm
        score, flat = self._score, self._score.reshape(-1)
        before = flat[at]
        learnt = before + bandits.learning_increment.reshape(-1)[at]
        flat[at] = np.minimum(learnt, bandits.max_p.reshape(-1)[at])
        np.subtract(score, bandits.forget_increment, out=score)
        np.maximum(score, 0.0, out=score)
        after = flat[at]
        self._gain = after - before
        self._improvement = (1.0 - after) * (after > before)
        self._since += 1.0
        self._since[self._row, arm] = 0.0
        self._observed[self._row, arm] = after

    def over(self) -> NDArray[np.bool_]:
        """The rows whose budget is used up, a fresh mask."""
        return self._since[:, -1] == self._budget

    def clear(self, rows: NDArray[np.bool_]) -> None:
        """Start new episodes in these rows."""
        for name in ROW_ARRAYS:
            getattr(self, f"_{name}")[rows] = 0.0

    def observe(self) -> NDArray[np.float32]:
        """The observations, a fresh array (rows, 2 arms + 1)."""
        self._observed[:, self._arms :] = self._since / self._budget
        return self._observed.copy()

    def values(self) -> dict[str, NDArray[Any]]:
        """The entries of the rows' infos, in fresh arrays."""
        total = reduce(np.add, self._score.T)  # from the first arm to the last
        return {
            "score": self._score.copy(),
            "mean_score": total / self._arms,
            "prediction_gain": self._gain.copy(),
            "improvement": self._improvement.copy(),
            "step": self._since[:, -1].astype(np.int64),
        }

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Copies of all that a pull changes, (rows, ...)."""
        return {name: getattr(self, f"_{name}").copy() for name in ROW_ARRAYS}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Load a state of `state_dict` of as many rows."""
        for name in ROW_ARRAYS:
            getattr(self, f"_{name}")[:] = state[name]
