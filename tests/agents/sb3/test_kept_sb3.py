"""Models of Stable-Baselines3 as agents: opened on trust alone, by the right algorithm."""

import copy
import zipfile
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3

import mtlgym
from mtlgym import agents
from mtlgym.agents.sb3.policy import ALGORITHMS
from mtlgym.envs.training.env import TrainingEnv
from tests.envs.training.toy import toy

KINDS = [A2C, DDPG, DQN, PPO, SAC, TD3]
SMALL: dict[str, Any] = {"policy_kwargs": {"net_arch": [8]}, "seed": 3, "device": "cpu"}
SEEN = np.array([0.1, 0.5, 0.9], np.float32)


class Still(gym.Env):
    """Nothing happens in it."""

    def __init__(self, choices):
        self.observation_space = spaces.Box(0, 1, (3,), np.float32)
        logits = spaces.Box(-1, 1, (3,), np.float32)
        self.action_space = spaces.Discrete(3) if choices else logits

    def reset(self, *, seed=None, options=None):
        return np.zeros(3, np.float32), {}

    def step(self, action):
        return np.zeros(3, np.float32), 0.0, False, False, {}


def model(kind, choices=False):
    return kind("MlpPolicy", Still(choices or kind is DQN), **copy.deepcopy(SMALL))


@pytest.fixture(scope="module")
def zips(tmp_path_factory):
    """A saved model of each algorithm, and its likeliest action."""
    folder, actions = tmp_path_factory.mktemp("zips"), {}
    for kind in KINDS:
        each = model(kind)
        each.save(folder / kind.__name__)
        actions[kind] = each.predict(SEEN, deterministic=True)[0]
    return folder, actions


def test_every_algorithm_is_tried():
    assert sorted(kind.__name__ for kind in KINDS) == sorted(ALGORITHMS)


@pytest.mark.parametrize("kind", KINDS)
def test_zip_is_refused_unless_it_is_trusted(zips, kind):
    path = zips[0] / f"{kind.__name__}.zip"
    with pytest.raises(ValueError, match=rf"{path}.*pickles.*`trust=True`, or --trust"):
        agents.load(path)


@pytest.mark.parametrize("kind", KINDS)
def test_trusted_zip_is_an_agent_that_decides_as_the_model(zips, kind):
    folder, actions = zips
    path = folder / f"{kind.__name__}.zip"
    for algorithm in ("", kind.__name__):
        agent = agents.load(path, trust=True, algorithm=algorithm)
        assert isinstance(agent, agents.Agent)
        expected = TD3 if kind is DDPG and not algorithm else kind  # they decide alike
        assert type(agent.model) is expected
        np.testing.assert_array_equal(agent.act(SEEN, {}), actions[kind])
        assert agent.action_space == Still(kind is DQN).action_space
        agent.learn(SEEN, agent.act(SEEN, {}), 1.0, SEEN, False, False, {})
        agent.load_state_dict(agent.state_dict())
        assert agent.state_dict() == {}
        np.testing.assert_array_equal(agent.act(SEEN, {}), actions[kind])
    if kind is DQN:
        assert type(agent.act(SEEN, {})) is int


def test_drawn_actions_come_from_the_agents_own_stream_and_go_on():
    one, two = (
        agents.SB3Policy(model(PPO, True), deterministic=False, seed=seed) for seed in (1, 1)
    )
    first = [one.act(SEEN, {}) for _ in range(30)]
    assert [two.act(SEEN, {}) for _ in range(30)] == first
    assert len(set(first)) > 1
    third = agents.SB3Policy(model(PPO, True), deterministic=False, seed=9)
    third.load_state_dict(one.state_dict())
    assert [third.act(SEEN, {}) for _ in range(30)] == [one.act(SEEN, {}) for _ in range(30)]
    with pytest.raises(ValueError, match="`state` of SB3Policy"):
        third.load_state_dict({})


@pytest.mark.parametrize("changed", ["data", "policy.pth"])
def test_damaged_zip_is_refused_by_name(zips, tmp_path, changed):
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(zips[0] / "SAC.zip") as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, b"[]" if name == changed else old.read(name))
    with pytest.raises(ValueError, match=str(path)):
        agents.load(path, trust=True)
    path.write_bytes((zips[0] / "SAC.zip").read_bytes()[:500])
    with pytest.raises(ValueError, match=r"neither a folder that `agents.save` wrote nor a zip"):
        agents.load(path, trust=True)


def test_zip_of_another_algorithm_is_refused(zips):
    with pytest.raises(ValueError, match=r"SAC\.zip is damaged, or no model of PPO"):
        agents.load(zips[0] / "SAC.zip", trust=True, algorithm="PPO")
    with pytest.raises(ValueError, match="Did you mean 'SAC'"):
        agents.load(zips[0] / "SAC.zip", trust=True, algorithm="SAK")


def test_model_weighs_the_losses_of_a_loop_and_is_not_kept(tmp_path):
    env = TrainingEnv(toy(), epochs=2, batch_size=10)
    agent = agents.SB3Policy(SAC("MlpPolicy", env, **copy.deepcopy(SMALL)))
    losses = torch.tensor([0.5, 1.0, 2.0], requires_grad=True)
    balancer = mtlgym.Balancer(agents.method(agent, env=env))
    weights = balancer.backward(losses * 1)
    action = agent.act(losses.detach().numpy(), {})
    expected = 3 * torch.softmax(2 * torch.from_numpy(action), dim=0)
    torch.testing.assert_close(weights, expected)
    with pytest.raises(ValueError, match="makes no SB3Policy"):
        agents.save(tmp_path / "kept", agent, spec="uniform")


def test_model_that_was_not_set_up_is_refused():
    bare = SAC("MlpPolicy", Still(False), _init_setup_model=False)
    with pytest.raises(ValueError, match="`model` must be set up"):
        agents.SB3Policy(bare)
