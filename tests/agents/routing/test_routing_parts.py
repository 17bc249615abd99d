"""What the agents that route share: reading, episodes, returns and who decides."""

from dataclasses import asdict, fields
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import batch_space
from numpy.testing import assert_allclose, assert_array_equal

from mtlgym.agents import WPL
from mtlgym.agents.routing.episodes import EpisodeReturns, Episodes
from mtlgym.agents.routing.observations import observation_reader
from mtlgym.agents.routing.routing_agent import Dispatch
from mtlgym.agents.routing.wpl_table import WPLSettings
from tests.agents.routing.toy_routes import Routes, seen

ROUTE = Routes(tasks=3, depths=2, blocks=4).observation_space
FOUR = spaces.Discrete(4)


def test_spaces_say_what_tables_and_approximators_need():
    box = spaces.Box(-1, 1, (2, 3), np.float32)
    singles = (
        (ROUTE, (3, 2, 8, True)),
        (spaces.Discrete(6), (1, 6, 6, True)),
        (box, (1, 1, 6, False)),
    )
    for single, expected in singles:
        for rows in (None, 1, 4):
            space = single if rows is None else batch_space(single, rows)
            reader = observation_reader(space, rows, "Agent")
            assert (reader.tasks, reader.depths, reader.features, reader.finite) == expected
            space.seed(0)
            observation = space.sample()
            features = reader.read(observation).features
            assert features.shape == (rows or 1, expected[2])
            assert features.dtype == np.float32
            assert reader.fit(observation) == reader


def test_observations_are_read_row_by_row():
    reader = observation_reader(batch_space(ROUTE, 2), 2, "Agent")
    value = np.arange(10, dtype=np.float32).reshape(2, 5)
    found = reader.read({"value": value, "task": np.array([2, 0]), "depth": np.array([0, 1])})
    assert_array_equal(found.task, [2, 0])
    assert_array_equal(found.depth, [0, 1])
    assert_array_equal(found.features, [[0, 1, 2, 3, 4, 0, 0, 1], [5, 6, 7, 8, 9, 1, 0, 0]])
    assert_array_equal(found.take(np.array([False, True])).features, found.features[1:])
    walk = observation_reader(spaces.Discrete(3), None, "Agent").read(np.int64(2))
    assert_array_equal(walk.task, [0])
    assert_array_equal(walk.depth, [2])
    assert_array_equal(walk.features, [[0, 0, 1]])
    box = observation_reader(spaces.Box(0, 1, (1, 2)), None, "Agent").read(np.array([[0.5, 1.0]]))
    assert_array_equal(box.features, [[0.5, 1.0]])


@pytest.mark.parametrize(
    "space",
    [
        spaces.MultiBinary(3),
        spaces.Discrete(3, start=1),
        spaces.MultiDiscrete([3, 3]),
        spaces.Dict(task=spaces.Discrete(2), depth=spaces.Discrete(2)),
        spaces.Dict(value=spaces.Discrete(2), task=spaces.Discrete(2), depth=spaces.Discrete(2)),
    ],
)
def test_other_observation_spaces_are_refused_by_name(space):
    with pytest.raises(ValueError, match=r"Agent needs .*`observation_space` is"):
        observation_reader(space, None, "Agent")


def test_a_vector_of_another_length_is_refused():
    for space in (batch_space(ROUTE, 3), spaces.MultiDiscrete([3, 4]), spaces.Box(0, 1, (3, 2))):
        with pytest.raises(ValueError, match="`observation_space` is"):
            observation_reader(space, 2, "Agent")


def test_episodes_with_a_reset_of_their_own_have_a_transition_without_a_decision():
    episodes, no = Episodes(2), np.zeros(2, np.bool_)
    assert episodes.starting.all()
    steps = [(no, [True, True], [False, False]), ([True, False], [True, True], [False, False])]
    steps += [(no, [False, True], [True, False]), ([False, True], [True, True], [False, False])]
    steps += [([True, False], [True, False], [False, True]), (no, [False, True], [True, False])]
    for ended, real, starting in steps:
        assert_array_equal(episodes.real(np.array(ended), no, {}), real)
        assert_array_equal(episodes.starting, starting)


def test_episodes_that_are_reset_at_once_have_no_such_transition():
    ended, no = np.array([True, False]), np.zeros(2, np.bool_)
    infos: list[dict[str, Any]] = [{"final_obs": [], "_final_obs": ended}, {"final_info": {}}]
    for info in infos:
        episodes = Episodes(2)
        assert episodes.real(no, ended, info).all()
        assert_array_equal(episodes.starting, ended)
        assert episodes.real(no, no, {}).all()
        assert not episodes.starting.any()
    single = Episodes(None)
    assert single.real(np.array([True]), np.array([False]), {}).all()
    assert single.starting.all()
    assert single.real(np.array([False]), np.array([False]), {}).all()


def test_returns_are_the_discounted_sums_of_each_row_s_own_episode():
    rng, gamma, ended = np.random.default_rng(0), 0.8, np.zeros(4, np.bool_)
    returns = EpisodeReturns(4, gamma)
    under_way: list[list[tuple[int, float]]] = [[] for _ in range(4)]
    for step in range(200):
        real = ~ended | (rng.random(4) < 0.5)  # a row that ended may have to be reset
        rewards, ended = rng.normal(size=4), (rng.random(4) < 0.2) & real
        returns.add(rewards, real, {"step": np.full(4, step)})
        for row in np.flatnonzero(real):
            under_way[row].append((step, rewards[row]))
        done, expected = returns.finish(ended), []
        for row in np.flatnonzero(ended):
            rest = 0.0
            for when, reward in reversed(under_way[row]):
                rest = reward + gamma * rest
                expected.append((when, row, rest, when == under_way[row][0][0]))
            under_way[row] = []
        expected.sort()
        assert (done is None) == (not expected)
        if done is not None:
            assert_array_equal(done["step"], [each[0] for each in expected])
            assert_allclose(done["return"], [each[2] for each in expected], rtol=1e-12)
            assert_array_equal(done["first"], [each[3] for each in expected])
        restored = EpisodeReturns(4, gamma)
        restored.load_state_dict(returns.state_dict())
        returns = restored


def test_one_agent_decides_for_a_task_or_for_all():
    task, starting = np.array([2, 0, 1]), np.ones(3, np.bool_)
    rng = np.random.default_rng(0)
    each, single = (Dispatch(kind, 3, rng, 3) for kind in ("task", "single"))
    assert (each.agents, single.agents) == (3, 1)
    assert_array_equal(each.assign(task, starting), task)
    assert_array_equal(single.assign(task, starting), [0, 0, 0])
    with pytest.raises(ValueError, match="Did you mean 'learned'"):
        Dispatch("learnt", 3, rng, None)


def test_a_dispatched_agent_stays_for_the_episode():
    dispatch = Dispatch("learned", 20, np.random.default_rng(0), 50)
    task, no = np.full(50, 3), np.zeros(50, np.bool_)
    first = dispatch.assign(task, ~no)
    assert len(set(first.tolist())) > 5
    assert_array_equal(dispatch.assign(task, no), first)
    half = np.arange(50) < 25
    second = dispatch.assign(task, half)
    assert_array_equal(second[~half], first[~half])
    assert np.any(second[half] != first[half])


def test_a_dispatcher_learns_which_agent_returns_most_for_a_task():
    dispatch = Dispatch("learned", 3, np.random.default_rng(1), 30, gamma=0.5)
    good, yes = np.array([1, 2, 0]), np.ones(30, np.bool_)
    task = np.arange(30) % 3
    for _ in range(600):
        agent = dispatch.assign(task, yes)
        dispatch.learn(np.zeros(30), yes, ~yes)
        dispatch.learn(np.where(agent == good[task], 2.0, -2.0), yes, yes)
    assert_array_equal(dispatch.greedy(np.arange(3)), good)
    assert dispatch.table is not None
    values = dispatch.table.values
    assert_allclose(values[np.arange(3), good], 1.0)  # a reward a step later, halved
    assert_allclose(values[np.arange(3), (good + 1) % 3], -1.0)


def test_a_row_of_zeros_is_no_mask_and_another_shape_is_refused():
    shell = WPL(ROUTE, FOUR, seed=0)._shell
    allowed = shell.look(seen(), {"action_mask": np.zeros(4, np.int8)}).allowed
    assert allowed.all()
    with pytest.raises(ValueError, match=r"an entry for each of 4 arms, not the shape \(3,\)"):
        shell.look(seen(), {"action_mask": np.ones(3, np.int8)})
    with pytest.raises(ValueError, match=r"in each of 2 rows, not the shape \(4,\)"):
        shell.look(seen(2), {"action_mask": np.ones(4, np.int8)})


def test_a_dispatcher_has_the_default_settings_of_wpl():
    defaults = {each.name: each.default for each in fields(WPL)}
    assert {name: defaults[name] for name in asdict(WPLSettings())} == asdict(WPLSettings())
