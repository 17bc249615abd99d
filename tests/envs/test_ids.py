"""Every registered id, by the same checks."""

import subprocess
import sys
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict
from gymnasium.utils.env_checker import check_env
from stable_baselines3 import DQN, PPO, SAC
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import mtlgym
from mtlgym.cli.check import CHECKS
from mtlgym.envs.training.env import TrainingEnv
from mtlgym.presets.environments import presets
from mtlgym.problems import builder_options, image_options

IDS = sorted(id for id in gym.registry if id.startswith("MTL-"))
TRAINING = [id for id in IDS if presets()[id].kind == "training"]
ROUTING = [id for id in IDS if presets()[id].kind == "routing"]
SOURCED = [id for id in TRAINING if "data" in builder_options(presets()[id].options["problem"])]
SOURCED += [id for id in ROUTING if "data" in image_options(presets()[id].options["problem"])]
LARGE = [id for id in SOURCED if "data" not in presets()[id].options]  # of real data, if there

# A published size at which one step takes seconds on a CPU, made small; its own size has a test.
TEXTS = {"layers": 1, "width": 8, "attention_heads": 2, "max_length": 8}
DOMAINS = {"hidden": 8, "latent": 4, "samples": 2, "batch_size": 25}
MOLECULES = {"dim": 8, "edge_hidden": 4}
LIGHT: dict[str, Any] = {
    "MTL-DomainNet-v0": DOMAINS,
    "MTL-Emoji-v0": DOMAINS,
    "MTL-GLUE-v0": TEXTS,
    "MTL-ImageCLEF-v0": DOMAINS,
    "MTL-NYUv2-v0": {"height": 24, "width": 32, "filters": [4, 8], "rooms": [8, 4, 4]},
    "MTL-OfficeCaltech-v0": DOMAINS,
    "MTL-OfficeHome-v0": DOMAINS,
    "MTL-QM9-Mini-v0": MOLECULES,
    "MTL-QM9-v0": MOLECULES,
    "MTL-Rooms-v0": {"height": 24, "width": 32, "filters": [4, 8], "rooms": [16, 4, 4]},
    "MTL-TextMix-v0": TEXTS,
}


def make(id, **options):
    """The environment without the warning about embedded data, which has a test of its own."""
    data: dict[str, Any] = {"data": "embedded"} if id in SOURCED else {}
    return gym.make(id, **{**data, **LIGHT.get(id, {}), **options})


def training(env) -> TrainingEnv:
    return env.unwrapped


@pytest.mark.parametrize("id", IDS)
def test_both_checkers_pass_without_a_warning(id):
    env = make(id, render_mode="rgb_array")
    check_env(env.unwrapped)
    check_env_sb3(env.unwrapped)
    env.close()
    env.close()


@pytest.mark.parametrize("id", IDS)
def test_one_seed_gives_one_rollout(id):
    for check in ("the same seed gives the same rollout", "another seed gives another rollout"):
        CHECKS[check](lambda: make(id), 2)


@pytest.mark.parametrize("id", IDS)
def test_global_random_states_are_left_alone(id):
    np_state, torch_state = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    env = make(id)
    env.action_space.seed(0)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    if id in TRAINING + ROUTING:
        training(env).evaluate("val")
    env.close()
    assert repr(np_state) == repr(np.random.get_state())  # noqa: NPY002
    assert torch.equal(torch_state, torch.get_rng_state())


SIZES: dict[type, dict[str, Any]] = {
    DQN: {"learning_starts": 4, "batch_size": 4, "train_freq": 1},
    PPO: {"n_steps": 8, "batch_size": 8},
    SAC: {"learning_starts": 4, "batch_size": 4},
}


@pytest.mark.parametrize("id", [id for id in IDS if id not in LARGE])
@pytest.mark.parametrize("on_policy", [True, False])
def test_stable_baselines3_trains_on_the_id_unchanged(id, on_policy):
    env = make(id, **({"batch_size": 8, "epochs": 1} if id in TRAINING + ROUTING else {}))
    off_policy = SAC if isinstance(env.action_space, Box) else DQN
    algorithm = PPO if on_policy else off_policy
    policy = "MultiInputPolicy" if isinstance(env.observation_space, Dict) else "MlpPolicy"
    model = algorithm(policy, env, seed=0, device="cpu", **SIZES[algorithm])
    before = [value.clone() for value in model.policy.parameters()]
    model.learn(10)
    after = model.policy.parameters()
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("id", LARGE)
def test_real_data_that_are_not_there_fall_back_with_one_warning(id, tmp_path, monkeypatch):
    monkeypatch.setenv("MTLGYM_DATA", str(tmp_path))
    monkeypatch.setattr("mtlgym.datasets.sources.find_spec", lambda name: None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        env = gym.make(id)
    told = [w for w in caught if issubclass(w.category, UserWarning)]
    assert len(told) == 1
    assert str(tmp_path) in str(told[0].message)
    assert training(env).problem.source.kind == "embedded"
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        gym.make(id, data="real")


def test_the_published_segnet_takes_a_step_at_the_published_size():
    env = gym.make("MTL-NYUv2-v0", data="embedded", batch_size=1, validate_every=0)
    assert env.reset(seed=0)[0].shape == (3,)
    model: Any = training(env).episode.learner.model
    assert sum(p.numel() for p in model.parameters()) == 25_055_185
    assert sum(p.numel() for p in model.trunk.parameters()) == 24_943_296
    assert training(env).episode.steps_per_epoch == 795
    after, _, terminated, truncated, _ = env.step(np.zeros(3, np.float32))
    assert not (terminated or truncated)
    assert after in env.observation_space


def test_the_published_network_of_molecules_takes_a_step_at_the_published_size():
    env = gym.make("MTL-QM9-v0", data="embedded")
    before, _ = env.reset(seed=0)
    model: Any = training(env).episode.learner.model
    assert sum(p.numel() for p in model.trunk.parameters()) == 616_960
    after, _, terminated, truncated, _ = env.step(np.zeros(11, np.float32))
    assert not (terminated or truncated)
    assert before in env.observation_space
    assert after in env.observation_space


def test_an_unknown_id_gets_a_suggestion():
    with pytest.raises(gym.error.NameNotFound, match="MTL-QM9"):
        gym.make("MTL-QM8-v0")


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_importing_the_package_imports_no_torch_and_registers_every_id():
    code = (
        "import sys, mtlgym, gymnasium;"
        "print([m for m in ('torch', 'torch_geometric', 'transformers') if m in sys.modules]);"
        "print(sorted(i for i in gymnasium.registry if i.startswith('MTL-')))"
    )
    assert run(code).splitlines() == ["[]", str(IDS)]


def test_the_module_prefix_makes_the_environment_without_an_import():
    code = "import gymnasium; print(gymnasium.make('mtlgym:MTL-QM9-Mini-v0').spec.id)"
    assert run(code) == "MTL-QM9-Mini-v0\n"


def test_the_public_names_are_there():
    assert all(hasattr(mtlgym, name) for name in mtlgym.__all__)
    with pytest.raises(AttributeError, match="no attribute 'balancer'"):
        _ = mtlgym.balancer


def test_an_environment_can_be_made_in_a_worker_process():
    env = gym.vector.AsyncVectorEnv(
        [lambda: gym.make("mtlgym:MTL-QM9-Mini-v0", batch_size=8)] * 2, context="spawn"
    )
    observations, _ = env.reset(seed=0)
    assert observations.shape == (2, 11)
    env.close()
