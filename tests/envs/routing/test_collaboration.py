"""The reward for repeating the latest decisions."""

from typing import Any

import numpy as np
import pytest

from mtlgym.envs.routing.collaboration import Collaboration

TASKS, DEPTHS, ACTIONS, LENGTH = 2, 3, 4, 5


def make(shared=False):
    return Collaboration((TASKS, DEPTHS, ACTIONS), shared, LENGTH)


def rows(rng, count):
    return rng.integers(0, TASKS, count), rng.integers(0, ACTIONS, (count, DEPTHS))


def kept(history, shared):
    """The shares by a plain loop over all decisions, in order: (tasks, depths, actions)."""
    found = np.full((TASKS, DEPTHS, ACTIONS), 1 / ACTIONS)
    last = [[route for task, route in history if task == own][-LENGTH:] for own in range(TASKS)]
    for own in range(TASKS):
        routes = [route for each in last for route in each] if shared else last[own]
        for depth in range(DEPTHS):
            for action in range(ACTIONS):
                if routes:
                    same = [route[depth] == action for route in routes]
                    found[own, depth, action] = sum(same) / len(same)
    return found


@pytest.mark.parametrize("shared", [False, True])
def test_the_shares_are_those_of_the_last_decisions_in_order(shared):
    rng, made = np.random.default_rng(0), make(shared)
    history: list[Any] = []
    for count in (1, 3, 2, 30, 1, 7):  # 30 rows are more than are kept
        task, routes = rows(rng, count)
        made.record(task, routes)
        history += zip(task.tolist(), routes.tolist(), strict=True)
        for depth in range(DEPTHS):
            for action in range(ACTIONS):
                own = np.arange(TASKS)
                found = made.shares(depth, own, np.full(TASKS, action))
                np.testing.assert_allclose(found, kept(history, shared)[:, depth, action])


def test_without_a_history_and_with_a_uniform_one_every_action_has_the_same_share():
    made = Collaboration((1, 1, ACTIONS), False, 2 * ACTIONS)
    every = np.arange(ACTIONS)
    zeros = np.zeros(ACTIONS, np.int64)
    assert np.array_equal(made.shares(0, zeros, every), np.full(ACTIONS, 1 / ACTIONS))
    made.record(zeros, every[:, None])
    assert np.array_equal(made.shares(0, zeros, every), np.full(ACTIONS, 1 / ACTIONS))


def test_a_saved_history_goes_on_as_it_would_have():
    rng, made, other = np.random.default_rng(1), make(), make()
    made.record(*rows(rng, 13))
    other.load_state_dict(made.state_dict())
    task, routes = rows(rng, 4)
    made.record(task, routes)
    other.record(task, routes)
    assert np.array_equal(made.counts, other.counts)
    other.record(task, routes)
    assert not np.array_equal(made.counts, other.counts)
