"""What a run needs of a bandit: a hundred rows an episode, and its last scores as figures."""

from typing import Any

import numpy as np

from mtlgym.bench.means import Means
from mtlgym.envs.bandit import BanditEnv

ROWS = 100  # in the log of an episode


class BanditSubject:
    """A bandit: a hundred rows an episode, and the final scores as figures."""

    def __init__(self, env: BanditEnv) -> None:
        """Take the environment."""
        self.env = env
        self.tasks = env.tasks
        self.selects = True
        self.source = {"kind": "synthetic", "sha256": ""}
        self._gained = 0.0  # prediction gain in the episode so far

    def period(self) -> int:
        """A hundredth of the episode."""
        return max(1, self.env.budget // ROWS)

    def budget(self) -> int:
        """Pulls."""
        return self.env.budget

    def count(
        self, means: Means, before: dict[str, Any], action: Any, reward: Any, after: dict[str, Any]
    ) -> None:
        """Count what was gained, what each arm's score is short of 1, and 1 for the arm pulled."""
        self._gained = after["prediction_gain"] + (self._gained if before["step"] else 0.0)
        means.add(1.0 - before["score"], np.eye(len(self.tasks))[action], reward)

    def row(self, means: Means, info: dict[str, Any]) -> dict[str, Any]:
        """Means of the period, and what the mean score is short of 1."""
        return {**means.row(), "score": 1.0 - info["mean_score"], "failure": ""}

    def result(self, info: dict[str, Any], split: str) -> dict[str, Any]:
        """The final mean score and the prediction gains, added up, whatever the split."""
        return {
            "data": "synthetic",
            "data_sha256": "",
            split: {"score": info["mean_score"]},
            "units": {"score": ""},
            "higher_is_better": {"score": True},
            "gained": self._gained,
            "best_validation_score": None,
            "delta_m": None,
            "baseline": None,
            "failure": "",
        }

    def state_dict(self) -> dict[str, Any]:
        """What was gained."""
        return {"gained": self._gained}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self._gained = state["gained"]
