"""What the environment tells beside the observation."""

from typing import Any

import numpy as np

from mtlgym.envs.rewards import improvement
from mtlgym.envs.settings import Settings
from mtlgym.problems.problem import Problem
from mtlgym.record import Record


def info(record: Record, problem: Problem, settings: Settings, ready: bool) -> dict[str, Any]:
    """The record, the kind of data, and whether the reward had all that it needs, as plain values.

    Where the agent chooses tasks, also the improvement that the step brought, whatever the reward.
    """
    found = {**record.to_info(), "data": problem.source.kind, "reward_ready": ready}
    if settings.interface == "tasks":
        found["improvement"] = improvement(record, record)
    return found


def sizes(problem: Problem, settings: Settings) -> dict[str, Any]:
    """Training samples of each task, where the agent chooses among them: for `reset` alone."""
    if settings.interface != "tasks":
        return {}
    found = problem.splits["train"].sizes
    return {"task_sizes": np.broadcast_to(found, len(problem.tasks)).copy()}
