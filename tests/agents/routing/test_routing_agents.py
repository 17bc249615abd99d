"""What holds for all agents that route by tables: who decides, masks, resets, states."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from numpy.testing import assert_array_equal

from mtlgym import agents
from mtlgym.agents import WPL, QLearning
from mtlgym.io import checkpoint
from tests.agents.routing.toy_routes import Routes, run, seen, vector

ROUTE = Routes(tasks=3, depths=2, blocks=4).observation_space
FOUR = spaces.Discrete(4)
KINDS = {"wpl": WPL, "q_learning": QLearning}
DISPATCHES = ("task", "single", "learned")


def make(kind, env, **settings):
    return KINDS[kind](env.observation_space, env.action_space, **({"seed": 0} | settings))


def assert_same(one, two):
    """Nested states are equal to the last bit."""
    assert type(one) is type(two)
    if isinstance(one, dict):
        assert one.keys() == two.keys()
        for key in one:
            assert_same(one[key], two[key])
    elif isinstance(one, list):
        assert len(one) == len(two)
        for pair in zip(one, two, strict=True):
            assert_same(*pair)
    else:
        assert_array_equal(one, two)


@pytest.mark.parametrize("kind", KINDS)
def test_tables_are_refused_for_numbers(kind):
    with pytest.raises(ValueError, match="needs the observation space Discrete or"):
        KINDS[kind](spaces.Box(0, 1, (2,)), FOUR)


class Identity:
    """A dispatcher's table that is sure of task -> agent of the same number and stays so."""

    policy = np.eye(3)

    def distribution(self, state, allowed):
        return self.policy[state]

    def learn(self, state, chosen, returns, allowed):
        pass

    def state_dict(self):
        return {}


@pytest.mark.parametrize("rows", [None, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_a_dispatcher_fixed_to_the_identity_is_one_agent_a_task(kind, rows):
    one, two = (Routes() if rows is None else vector(rows) for _ in range(2))
    expected = make(kind, one)
    agent = make(kind, two, dispatch="learned")
    agent._shell.dispatch.table = Identity()
    assert_array_equal(run(agent, two, 300, seed=1), run(expected, one, 300, seed=1))
    part = "table" if kind == "wpl" else "values"
    assert_same(agent.state_dict()[part], expected.state_dict()[part])


@pytest.mark.parametrize("dispatch", DISPATCHES)
@pytest.mark.parametrize("kind", KINDS)
def test_both_ways_of_resetting_rows_teach_the_same(kind, dispatch):
    """The decisions are given, as what an agent draws in a reset would shift its stream."""
    decided = np.random.default_rng(2).integers(4, size=(40, 2, 6))
    learnt = []
    for mode in gym.vector.AutoresetMode.NEXT_STEP, gym.vector.AutoresetMode.SAME_STEP:
        env = vector(6, mode, lost=0.4)
        agent = make(kind, env, dispatch=dispatch)
        observation, info = env.reset(seed=3)
        for episode in decided:
            resets = mode is gym.vector.AutoresetMode.NEXT_STEP
            for action in [*episode, np.zeros(6, np.int64)] if resets else episode:
                after, reward, terminated, truncated, info = env.step(action)
                agent.learn(observation, action, reward, after, terminated, truncated, info)
                observation = after
        state = agent.state_dict()
        learnt.append(state["table"] if kind == "wpl" else state["values"])
        assert np.ptp(next(iter(learnt[-1].values()))) > 0.01
    assert_same(*learnt)


@pytest.mark.parametrize("rows", [None, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_changes_its_own_agent_s_tables_alone(kind, rows):
    env = Routes() if rows is None else vector(rows)
    agent = make(kind, env)

    def tables():
        state = agent.state_dict()
        table = state["table"]["policy"] if kind == "wpl" else state["values"]["table"]
        return table.reshape(3, 2, 4)

    no, yes = (False, True) if rows is None else (np.zeros(3, np.bool_), np.ones(3, np.bool_))
    action, reward = (2, 1.0) if rows is None else (np.full(3, 2), np.ones(3))
    before = tables().copy()
    # the second depth is never visited: the episode ends after the first
    agent.learn(seen(rows), action, reward, seen(rows, depth=1), yes, no, {"final_obs": 0})
    changed = (tables() != before).any(axis=2)
    assert_array_equal(changed, [[False, False], [True, False], [False, False]])


@pytest.mark.parametrize("rows", [None, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_mask_forbids_is_never_chosen(kind, rows):
    settings = {"masked": True, "lost": 0.4}
    env = Routes(**settings) if rows is None else vector(rows, **settings)
    agent = make(kind, env)
    routes = Routes().routes
    observation, info = env.reset(seed=4)
    for step in range(300):
        action = agent.greedy(observation, info) if step % 5 == 0 else agent.act(observation, info)
        route = routes[observation["task"], observation["depth"]]
        assert np.all(action != (route + 1) % 4)
        chances = agent.distribution(observation, info)
        np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-12)
        assert_array_equal(chances > 0, np.atleast_2d(info["action_mask"]) == 1)
        after, reward, terminated, truncated, info = env.step(action)
        agent.learn(observation, action, reward, after, terminated, truncated, info)
        observation = after
        if rows is None and terminated:
            observation, info = env.reset()


@pytest.mark.parametrize("dispatch", DISPATCHES)
@pytest.mark.parametrize("rows", [None, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_state_continues_bit_for_bit_also_from_a_file(kind, rows, dispatch, tmp_path):
    env = Routes() if rows is None else vector(rows)
    first = make(kind, env, dispatch=dispatch)
    run(first, env, 151, seed=5)  # ends within an episode
    state = first.state_dict()
    checkpoint.save(tmp_path / "state", state)
    expected = run(first, env, 100, seed=6), first.state_dict()
    assert_same(checkpoint.load(tmp_path / "state"), state)  # going on has not changed it
    second = make(kind, env, dispatch=dispatch, seed=7)
    second.load_state_dict(checkpoint.load(tmp_path / "state"))
    assert_array_equal(run(second, env, 100, seed=6), expected[0])
    assert_same(second.state_dict(), expected[1])


@pytest.mark.parametrize("kind", KINDS)
def test_state_of_other_spaces_or_settings_is_refused_and_changes_nothing(kind):
    env = Routes()
    agent = make(kind, env)
    run(agent, env, 20, seed=0)
    others = [
        make(kind, Routes(blocks=5)),
        make(kind, Routes(tasks=4)),
        make(kind, Routes(depths=3)),
    ]
    others += [
        make(kind, env, gamma=0.9),
        make(kind, vector(2)),
        make(kind, env, dispatch="single"),
    ]
    for other in others:
        before = other.state_dict()
        with pytest.raises(ValueError, match="`state` is of"):
            other.load_state_dict(agent.state_dict())
        assert_same(other.state_dict(), before)


@pytest.mark.parametrize("rows", [None, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_fit_is_refused_and_changes_nothing(kind, rows):
    env = Routes() if rows is None else vector(rows)
    agent = make(kind, env)
    run(agent, env, 21, seed=0)
    no = False if rows is None else np.zeros(rows, np.bool_)
    good = {
        "observation": seen(rows),
        "action": 1 if rows is None else np.ones(rows, np.int64),
        "reward": 0.5 if rows is None else np.full(rows, 0.5),
        "next_observation": seen(rows, depth=1),
        "terminated": no,
        "truncated": no,
        "info": {},
    }
    bad = [
        ("action", 4 if rows is None else np.array([0, 4])),
        ("reward", np.nan if rows is None else np.array([0, np.inf])),
        ("observation", seen(rows, depth=2)),
        ("observation", seen(rows, task=-1)),
        ("observation", seen(3)),
        ("observation", seen(rows) | {"value": np.zeros(4, np.float32)}),
        ("next_observation", seen(rows, depth=7)),
        ("terminated", 1 if rows is None else np.zeros(3, np.bool_)),
        ("info", {"action_mask": np.ones(9)}),
    ]
    state = agent.state_dict()
    if rows is not None:
        cut = good | {"truncated": ~no, "info": {"final_info": {}}}
        with pytest.raises(ValueError, match='must have "final_obs"'):
            agent.learn(*cut.values())
    for name, value in bad:
        argument = "observation" if name == "next_observation" else name
        with pytest.raises(ValueError, match=argument):
            agent.learn(*(good | {name: value}).values())
        assert_same(agent.state_dict(), state)
    with pytest.raises(ValueError, match="`observation` must have a depth in"):
        agent.act(seen(rows, depth=2), {})
    assert_same(agent.state_dict(), state)


@pytest.mark.parametrize("rows", [None, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_takes_samples_of_any_number_draws_nothing_and_changes_nothing(kind, rows):
    env = Routes() if rows is None else vector(rows)
    agent = make(kind, env, dispatch="learned")
    run(agent, env, 61, seed=0)
    state = agent.state_dict()
    one = agent.greedy(seen(), {})
    assert type(one) is int
    assert_array_equal(agent.greedy(seen(7), {}), [one] * 7)
    assert agent.distribution(seen(7), {}).shape == (7, 4)
    assert_same(agent.state_dict(), state)


@pytest.mark.parametrize("kind", KINDS)
def test_agents_are_made_by_specs_with_settings(kind):
    agent = agents.make(f'{kind}:learning_rate=0.25,dispatch="single"', ROUTE, FOUR, seed=0)
    assert (agent.learning_rate, agent.dispatch) == (0.25, "single")
