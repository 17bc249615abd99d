"""The table of agents, the simple agents in it, and streams of chance."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from gymnasium import spaces

from mtlgym import agents
from mtlgym.agents.streams import generator, numpy_stream, torch_stream
from mtlgym.balancing import LOSS_METHODS
from mtlgym.record import Record
from tests.agents.bandits.choices import NOT_ARMS, ROUTERS, Bernoulli
from tests.agents.routing.toy_routes import Routes
from tests.agents.weights.decay import Decay, Run

LOSSES = spaces.Box(0, np.inf, (3,), np.float32)
ACTIONS = {
    "weights": LOSSES,
    "logits": spaces.Box(-1, 1, (3,), np.float32),
    "tasks": spaces.Discrete(3),
}
STREAMS = {
    "torch": (torch_stream, lambda: torch.rand(5).numpy()),
    "numpy": (numpy_stream, lambda: np.random.normal(size=5)),  # noqa: NPY002
}


def learn(agent, info, terminated=False, truncated=False):
    losses = np.ones(3, np.float32)
    agent.learn(losses, losses, 0.0, losses, terminated, truncated, info)


def world(name):
    """An environment whose actions the agent takes."""
    if name in ROUTERS:
        return Routes()
    return Decay() if name in NOT_ARMS else Bernoulli()


@pytest.mark.parametrize("name", agents.AGENTS)
def test_agent_is_made_by_name_acts_and_continues_from_its_state(name):
    env = world(name)
    first = agents.make(name, env.observation_space, env.action_space, seed=3)
    assert isinstance(first, agents.Agent)
    assert env.action_space.contains(Run(first, env).go(25)[0])
    state = first.state_dict()
    second = agents.make(name, env.observation_space, env.action_space, seed=4)
    second.load_state_dict(state)
    expected = Run(first, world(name)).go(15)
    np.testing.assert_array_equal(Run(second, world(name)).go(15), expected)


@pytest.mark.parametrize("name", agents.AGENTS)
def test_agent_says_what_the_environment_must_be_like(name):
    assert agents.environment_options(name) == agents.AGENTS[name].options


@pytest.mark.parametrize("name", sorted(agents.AGENTS.keys() - {*NOT_ARMS, "uniform"}))
def test_agent_that_chooses_arms_refuses_other_spaces(name):
    wrong = (
        LOSSES,
        spaces.Discrete(3, start=1),
        spaces.MultiDiscrete([3, 4]),
        spaces.MultiDiscrete(np.array([[3, 3]])),
    )
    for space in wrong:
        with pytest.raises(ValueError, match="`action_space` is"):
            agents.make(name, LOSSES, space)


def test_unknown_agents_get_a_suggestion():
    with pytest.raises(ValueError, match="Did you mean 'igbv2'"):
        agents.make("igbv3", LOSSES, LOSSES)
    with pytest.raises(AttributeError, match="Did you mean 'IGBv2'"):
        _ = agents.IGBV2
    with pytest.raises(ValueError, match="unknown setting of agent 'uniform' 'dwa'"):
        agents.make("uniform:dwa", LOSSES, LOSSES)


def test_classes_are_found_by_their_names():
    for entry in agents.AGENTS.values():
        name = entry.path.partition(":")[2]
        assert getattr(agents, name).__name__ == name
        assert name in dir(agents)


def test_importing_the_agents_imports_neither_torch_nor_stable_baselines3():
    check = "import mtlgym.agents, sys; print(*{'torch', 'stable_baselines3'} & sys.modules.keys())"
    found = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == ""


@pytest.mark.parametrize("actions", ACTIONS)
def test_uniform_decisions_lie_in_the_space_and_have_its_mean(actions):
    agent = agents.make("uniform", LOSSES, ACTIONS[actions], seed=0)
    drawn = [agent.act(np.ones(3, np.float32), {}) for _ in range(5000)]
    assert all(ACTIONS[actions].contains(each) for each in drawn)
    expected = {"weights": 1.0, "logits": 0.0, "tasks": 1.0}[actions]
    np.testing.assert_allclose(np.mean(drawn, axis=0), expected, atol=0.05)


def test_uniform_weights_are_uniform_on_the_simplex():
    agent = agents.UniformRandom(LOSSES, LOSSES, seed=0)
    drawn = np.stack([agent.act(np.ones(3, np.float32), {}) for _ in range(5000)])
    np.testing.assert_allclose(drawn.sum(1), 3, rtol=1e-5)
    # the share of one of three tasks is Beta(1, 2): P(share > x) = (1 - x)^2
    for share in (0.2, 0.5, 0.8):
        assert (drawn[:, 0] / 3 > share).mean() == pytest.approx((1 - share) ** 2, abs=0.03)


def test_uniform_probabilities_are_of_tasks_only():
    chosen = agents.UniformRandom(LOSSES, spaces.Discrete(4), seed=0)
    np.testing.assert_array_equal(chosen.probabilities, [0.25] * 4)
    assert agents.UniformRandom(LOSSES, LOSSES).probabilities is None


def test_uniform_draws_tasks_for_each_row_of_a_vector():
    space = spaces.MultiDiscrete([4] * 5)
    agent = agents.UniformRandom(LOSSES, space, seed=0)
    drawn = np.stack([agent.act(LOSSES.sample(), {}) for _ in range(4000)])
    assert all(space.contains(action) for action in drawn[:10])
    counts = (drawn[..., None] == np.arange(4)).mean(0)  # (rows, tasks)
    np.testing.assert_allclose(counts, agent.probabilities, atol=0.04)
    assert agent.probabilities.shape == (5, 4)


def test_balancing_policy_gives_the_weights_of_its_method():
    env, method = Decay(), LOSS_METHODS["dwa"]()
    policy = agents.make("dwa", env.observation_space, env.action_space)
    observation, info = env.reset(seed=0)
    for _ in range(60):
        weights = policy.act(observation, info)
        record = Record(losses=torch.as_tensor(observation), step=info["step"], epoch=info["epoch"])
        np.testing.assert_array_equal(weights, method(record).numpy().astype(np.float32))
        observation, _, _, _, info = env.step(weights)


def moment(losses, step=0, epoch=1):
    return {"losses": np.asarray(losses, float), "step": step, "epoch": epoch}


def test_balancing_policy_takes_the_losses_from_the_info_whatever_is_observed():
    wide = spaces.Box(0, np.inf, (5,), np.float32)
    policy = agents.BalancingPolicy(wide, LOSSES, method="gls")
    same = agents.BalancingPolicy(LOSSES, LOSSES, method="gls")
    losses = [1.0, 2.0, 3.0]
    weights = policy.act(np.ones(5, np.float32), moment(losses))
    np.testing.assert_array_equal(weights, same.act(np.array(losses, np.float32), moment(losses)))


def test_famo_learns_from_the_batch_after_its_update():
    policy = agents.BalancingPolicy(LOSSES, LOSSES, method="famo:lr=0.1")
    method = LOSS_METHODS["famo"](lr=0.1)
    before, after = np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.9, 3.1])
    for step in range(3):
        weights = policy.act(before.astype(np.float32), moment(before, step))
        learn(policy, {"trained_losses": before, "retrained_losses": after})
        expected = method(Record(losses=torch.tensor(before)))
        method.update(torch.tensor(before), torch.tensor(after))
        np.testing.assert_allclose(weights, expected, rtol=1e-6)
    assert not np.allclose(weights * before, weights[0])  # no longer the first, even weights


def test_famo_without_the_batch_after_its_update_names_the_setting():
    policy = agents.BalancingPolicy(LOSSES, LOSSES, method="famo")
    with pytest.raises(ValueError, match="`same_batch=True`"):
        learn(policy, {"step": 1, "epoch": 1})
    learn(policy, {"step": 1, "epoch": 1}, terminated=True)


def test_each_episode_starts_with_a_fresh_method():
    policy = agents.BalancingPolicy(LOSSES, LOSSES, method="igbv1")
    losses = np.ones(3, np.float32)
    policy.act(losses, moment(losses, 0, 2))
    policy.act(losses, moment(losses, 1, 3))
    policy.act(losses, moment(losses, 0, 1))  # reset, in the middle of the episode
    with pytest.raises(ValueError, match="no batch of epoch 2"):
        policy.act(losses, moment(losses, 1, 3))


def test_a_method_that_draws_draws_anew_in_each_episode_and_alike_from_one_seed():
    losses = np.ones(3, np.float32)
    one, two = (agents.make("rlw", LOSSES, LOSSES, seed=4) for _ in range(2))
    first = [one.act(losses, moment(losses)) for _ in range(3)]  # three episodes
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[1], first[2])
    np.testing.assert_array_equal(first, [two.act(losses, moment(losses)) for _ in range(3)])


def test_a_seed_in_the_settings_is_kept():
    losses = np.ones(3, np.float32)
    one, two = (agents.make("rlw:seed=5", LOSSES, LOSSES, seed=k) for k in (1, 2))
    np.testing.assert_array_equal(one.act(losses, moment(losses)), two.act(losses, moment(losses)))


def test_balancing_policy_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match='actions="weights"'):
        agents.BalancingPolicy(LOSSES, ACTIONS["logits"])
    with pytest.raises(ValueError, match="gradient method"):
        agents.BalancingPolicy(LOSSES, LOSSES, method="igbv1+mgd")
    dwa, famo = (agents.BalancingPolicy(LOSSES, LOSSES, method=name) for name in ("dwa", "famo"))
    with pytest.raises(ValueError, match="`state` is of DWA"):
        famo.load_state_dict(dwa.state_dict())


def test_seed_reaches_methods_that_draw():
    one, two = (agents.make("rlw", LOSSES, LOSSES, seed) for seed in (1, 2))
    losses = np.ones(3, np.float32)
    first, second = (agent.act(losses, moment(losses)) for agent in (one, two))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", STREAMS)
def test_stream_goes_on_where_it_stopped_and_the_world_too(name):
    make, draw = STREAMS[name]
    whole, parts, world = make(1), make(1), make(2)
    with whole.swapped_in():
        expected = np.concatenate([draw(), draw(), draw()])
    with world.swapped_in():
        outside = np.concatenate([draw(), draw()])
    found, met = [], []
    world = make(2)
    with world.swapped_in():
        for _ in range(2):
            with parts.swapped_in():
                found.append(draw())
            met.append(draw())
    saved = make(7)
    saved.load(parts.state())
    with pytest.raises(KeyError), world.swapped_in(), saved.swapped_in():
        found.append(draw())
        raise KeyError
    np.testing.assert_array_equal(np.concatenate(found), expected)
    np.testing.assert_array_equal(np.concatenate(met), outside)


def test_agents_generator_shares_no_draws_with_an_environments():
    ours, theirs = generator(0).random(100), np.random.default_rng(0).random(100)
    assert not np.intersect1d(ours, theirs).size
