"""What all agents with networks have in common."""

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from mtlgym.agents import REINFORCE, ActorCritic, QLearning, make
from mtlgym.io import checkpoint
from tests.agents.routing.network_agents import NAMES, agent_for, stacks
from tests.agents.routing.network_references import PARTS, assert_same, episodes
from tests.agents.routing.toy_routes import Routes, run, vector


@NAMES
def test_a_sample_changes_its_own_agents_networks_alone(name):
    env = Routes(tasks=4)
    agent = agent_for(env, name)
    run(agent, env, 30, seed=0)
    for _ in range(6):
        before = stacks(agent)
        (steps,) = episodes(agent, env, 1)
        task = int(steps[0][0]["task"])
        others = [each for each in range(4) if each != task]
        for part, after in stacks(agent).items():
            for kind in ("parameters", "first", "second"):
                for name_, old in before[part][kind].items():
                    assert torch.equal(after[kind][name_][others], old[others])
                    assert not torch.equal(after[kind][name_][task], old[task])


@NAMES
def test_a_reset_is_not_learnt_from(name):
    env = vector(3)
    agent = agent_for(env, name)
    run(agent, env, 2, seed=0)  # all episodes have ended
    observation, never = env.observation_space.sample(), np.zeros(3, np.bool_)
    before = stacks(agent)
    agent.learn(observation, np.zeros(3, np.int64), np.ones(3), observation, never, never, {})
    assert_same(stacks(agent), before)


@NAMES
@pytest.mark.parametrize("rows", [None, 4])
def test_forbidden_arms_are_neither_drawn_nor_learnt_about(name, rows):
    env = Routes(masked=True) if rows is None else vector(rows, masked=True)
    agent = agent_for(env, name)
    observation, info = env.reset(seed=0)
    for _ in range(60):
        allowed = info["action_mask"].reshape(-1, 4)
        chances = agent.distribution(observation, info)
        assert_array_equal(chances[allowed == 0], 0)
        assert_allclose(chances.sum(1), 1, rtol=1e-12)
        action = agent.act(observation, info)
        assert all(allowed[np.arange(len(allowed)), np.atleast_1d(action)])
        after, reward, terminated, truncated, info = env.step(action)
        agent.learn(observation, action, reward, after, terminated, truncated, info)
        observation = after
        if rows is None and terminated:
            observation, info = env.reset()
    parts = stacks(agent)
    moved = parts.get("policy", parts.get("values"))["second"]["outer_bias"][:, :, 0]
    routes = Routes().routes
    for task, depth in np.ndindex(routes.shape):
        assert moved[task, depth, (routes[task, depth] + 1) % 4] == 0
        assert moved[task, depth].any()


@NAMES
def test_actions_are_drawn_from_the_distribution_and_greedy_is_its_largest(name):
    env = vector(3)
    agent = agent_for(env, name)
    run(agent, env, 60, seed=0)
    env.observation_space.seed(0)
    observation = env.observation_space.sample()
    chances = agent.distribution(observation, {})
    before = agent.state_dict()
    assert_array_equal(agent.greedy(observation, {}), chances.argmax(1))
    assert_same(agent.state_dict(), before)
    drawn = np.stack([agent.act(observation, {}) for _ in range(600)])
    for row in range(3):
        counts = np.bincount(drawn[:, row], minlength=4)
        assert stats.chisquare(counts, 600 * chances[row]).pvalue > 1e-3


@NAMES
@pytest.mark.parametrize(("rows", "dispatch"), [(None, "task"), (3, "single"), (3, "learned")])
def test_state_continues_bit_for_bit_also_from_a_file(name, rows, dispatch, tmp_path):
    def world():
        return Routes() if rows is None else vector(rows, AutoresetMode.SAME_STEP)

    env = world()
    first, second = (agent_for(env, name, dispatch=dispatch, seed=seed) for seed in (3, 4))
    run(first, env, 21, seed=0)  # in the middle of an episode
    state = first.state_dict()
    checkpoint.save(tmp_path / "state", state)
    second.load_state_dict(checkpoint.load(tmp_path / "state"))
    expected = run(first, world(), 20, seed=1)
    assert_array_equal(run(second, world(), 20, seed=1), expected)
    assert_same(second.state_dict(), first.state_dict())
    assert_same(checkpoint.load(tmp_path / "state"), state)  # going on has not changed it


@NAMES
def test_one_seed_gives_one_run_and_no_global_generator_is_drawn_from(name):
    before = torch.get_rng_state(), np.random.get_state(legacy=False)  # noqa: NPY002
    one, two, other = (agent_for(Routes(), name, seed=seed) for seed in (1, 1, 2))
    actions = [run(agent, Routes(), 30, seed=5) for agent in (one, two, other)]
    assert_array_equal(actions[0], actions[1])
    assert not np.array_equal(actions[0], actions[2])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert_same(np.random.get_state(legacy=False), before[1])  # noqa: NPY002


@NAMES
def test_what_does_not_fit_is_refused_and_changes_nothing(name):
    env = Routes()
    agent = agent_for(env, name)
    run(agent, env, 21, seed=0)
    observation, _ = env.reset()
    state = agent.state_dict()
    wrong = ((4, 0.0, "`action`"), (-1, 0.0, "`action`"), (0, np.nan, "`reward`"))
    for action, reward, message in wrong:
        with pytest.raises(ValueError, match=message):
            agent.learn(observation, action, reward, observation, False, False, {})
    with pytest.raises(ValueError, match="`observation`"):
        agent.act(observation | {"task": np.int64(9)}, {})
    with pytest.raises(ValueError, match="action_mask"):
        agent.act(observation, {"action_mask": np.ones(3, np.int8)})
    for other in (
        agent_for(env, name, hidden=8),
        agent_for(env, name, dispatch="single"),
        agent_for(Routes(tasks=5), name),
        agent_for(Routes(blocks=5), name),
        agent_for(vector(2), name),
    ):
        with pytest.raises(ValueError, match="`state` is of"):
            agent.load_state_dict(other.state_dict())
    assert_same(agent.state_dict(), state)


@NAMES
@pytest.mark.parametrize(
    "setting", [{"learning_rate": -1.0}, {"hidden": 0}, {"gamma": 1.5}, {"dispatch": "tsk"}]
)
def test_settings_are_checked(name, setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        agent_for(Routes(), name, **setting)


@NAMES
def test_rewards_of_any_size_are_borne(name):
    env = Routes()
    agent = agent_for(env, name)
    observation, _ = env.reset(seed=0)
    for reward in (0.0, 1e-310, 1e200, -1.7e308, 1.7e308, 1.0):
        for action in range(4):
            agent.learn(observation, action, reward, observation, True, False, {})
    assert_allclose(agent.distribution(observation, {}).sum(), 1, rtol=1e-12)
    for stack in stacks(agent).values():
        assert all(torch.isfinite(stack["parameters"][part]).all() for part in PARTS)


def test_agents_are_made_by_name():
    env = Routes()
    kinds = {
        "actor_critic": ActorCritic,
        'q_learning:representation="network"': QLearning,
        'reinforce:baseline="mean"': REINFORCE,
    }
    for spec, kind in kinds.items():
        assert isinstance(make(spec, env.observation_space, env.action_space, 0), kind)
