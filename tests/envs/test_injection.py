"""Numbers that are not finite, put into losses, gradients, data and weights, in every kind."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import DQN, PPO, SAC

from mtlgym.envs.routing import RoutingEnv, RoutingVectorEnv
from mtlgym.envs.training.env import TrainingEnv
from tests.envs.faults import BAD, TASK, Fault, image_problem, strike, training_problem
from tests.envs.hostile import sound
from tests.envs.routing.toy_images import SMALL
from tests.envs.training.toy import TASKS, Numbers

FORMS: dict[str, dict[str, Any]] = {
    "logits": {},
    "weights": {"actions": "weights", "transform": "none"},
    "same batch": {"reward": "prediction_gain", "transform": "none"},
    "fused": {"fused": True},
    "fused, plain": {"fused": True, "transform": "none"},
    "aggregator": {"aggregator": "mgda"},
    "aggregator, plain": {"aggregator": "nash", "transform": "none", "max_norm": 1.0},
    "aggregator, fused": {"aggregator": "cagrad", "fused": True},
    "tasks": {"interface": "tasks"},
    "tasks, log": {"interface": "tasks", "transform": "log", "reward": "improvement"},
}
KINDS = ["loss", "gradient", "data", "weight"]
OFTEN = [("loss", BAD[0]), ("loss", BAD[2]), ("gradient", BAD[1]), ("data", BAD[0])]
OFTEN.append(("weight", BAD[1]))
FAULTS = [
    pytest.param(kind, bad, marks=() if (kind, bad) in OFTEN else pytest.mark.slow)
    for kind in KINDS
    for bad in BAD
]


def make(form, fault):
    options = FORMS[form]
    sources = 3 if "interface" in options else 1
    problem = training_problem(fault, sources)
    return TrainingEnv(problem, epochs=20, batch_size=10, **options)


def action(env):
    """One that trains the task that breaks."""
    return TASK if isinstance(env.action_space, gym.spaces.Discrete) else np.zeros(3, np.float32)


def parameters(model):
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def numbers(info):
    """All numbers of an info, flat."""
    found = [np.ravel(value) for value in info.values() if not isinstance(value, str)]
    return np.concatenate([each for each in found if each.dtype.kind in "fiub"]).astype(float)


def restored(env):
    """Give the training data back what it lost."""
    fresh = Numbers(40, len(env.problem.splits["train"].x), 0)
    for x, old in zip(env.problem.splits["train"].x, fresh.x, strict=True):
        x[:] = old


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("kind", "bad"), FAULTS)
def test_a_bad_number_ends_the_episode_soundly_and_names_the_task(form, kind, bad):
    fault = Fault(kind, bad)
    env = make(form, fault)
    env.reset(seed=0)
    for _ in range(2):
        assert not env.step(action(env))[2]
    strike(fault, env.problem, env.episode.learner.model)
    for _ in range(3):
        before = parameters(env.episode.learner.model)
        observation, reward, terminated, truncated, info = env.step(action(env))
        assert sound(observation, env.observation_space)
        assert np.isfinite(reward)
        assert np.isfinite(numbers(info)).all()
        if terminated:
            break
    assert terminated
    assert not truncated
    assert reward == env.options.failure_reward
    assert (TASKS[TASK] if kind != "data" else "loss of") in info["failure"]
    after = parameters(env.episode.learner.model)
    spoilt = [name for name, value in after.items() if not value.isfinite().all()]
    assert spoilt == ([f"heads.{TASK}.bias"] if kind == "weight" else [])
    if kind == "gradient":
        assert all(torch.equal(value, before[name]) for name, value in after.items())
    fault.on = False
    restored(env)
    spared = make(form, Fault())
    assert repr(env.reset(seed=7)) == repr(spared.reset(seed=7))
    for _ in range(2):
        assert repr(env.step(action(env))) == repr(spared.step(action(spared)))


ROWS = 6


def route(form, fault):
    options = {**SMALL, "epochs": 20}
    if form == "single":
        return RoutingEnv(image_problem(fault), batch_size=ROWS, **options)
    return RoutingVectorEnv(image_problem(fault), ROWS, autoreset_mode=form, **options)


def minibatch(env):
    """Decide for a whole minibatch and look at all that comes; the last info."""
    updates = env.router.trainer.updates
    for _ in range(1000):
        try:
            found = env.step(0 if isinstance(env, RoutingEnv) else np.zeros(ROWS, np.int64))
        except gym.error.ResetNeeded:
            found = env.reset()
        space = env.observation_space
        assert sound(found[0], space)
        assert np.isfinite(numbers({k: v for k, v in found[-1].items() if "final" not in k})).all()
        if len(found) == 5:
            assert np.isfinite(found[1]).all()
        if env.router.trainer.updates > updates:
            return found[-1]
    raise AssertionError("no minibatch came to its end")


@pytest.mark.parametrize("form", ["single", "NextStep", "SameStep", "Disabled"])
@pytest.mark.parametrize(("kind", "bad"), FAULTS)
def test_a_bad_number_on_a_route_trains_nothing_and_names_the_task(form, kind, bad):
    fault = Fault(kind, bad)
    env = route(form, fault)
    env.reset(seed=0)
    assert minibatch(env)["failure"] == ""
    strike(fault, env.problem.data, env.router.trainer.model)
    if kind == "data":
        minibatch(env)  # whose images were drawn before
    before = parameters(env.router.trainer.model)
    info = minibatch(env)
    assert f"task{TASK}" in info["failure"] or kind in ("data", "weight")
    assert "task" in info["failure"]
    assert not env.is_open
    after = parameters(env.router.trainer.model)
    assert all(torch.equal(v.nan_to_num(), before[name].nan_to_num()) for name, v in after.items())
    fault.on = False
    spared = route(form, Fault())
    assert repr(env.reset(seed=7)) == repr(spared.reset(seed=7))
    assert repr(minibatch(env)) == repr(minibatch(spared))


SIZES = {
    DQN: {"learning_starts": 10, "batch_size": 8, "train_freq": 2},
    PPO: {"n_steps": 20, "batch_size": 10, "n_epochs": 2},
    SAC: {"learning_starts": 10, "batch_size": 8},
}


def learn(algorithm, env, steps=110):
    """Train for so many steps; the networks' numbers."""
    dictionary = isinstance(env.observation_space, gym.spaces.Dict)
    policy = "MultiInputPolicy" if dictionary else "MlpPolicy"
    small = {"net_arch": [16]}
    model = algorithm(policy, env, seed=0, policy_kwargs=small, device="cpu", **SIZES[algorithm])
    model.learn(steps)
    return torch.cat([value.flatten() for value in model.policy.parameters()])


@pytest.mark.parametrize(
    ("form", "kind", "algorithm"),
    [
        ("logits", "loss", SAC),
        ("fused", "gradient", SAC),
        ("aggregator, plain", "gradient", SAC),
        ("tasks", "loss", DQN),
        ("tasks", "gradient", PPO),
    ],
)
def test_stable_baselines3_learns_nothing_bad_from_failures(form, kind, algorithm):
    fault = Fault(kind, every=9)
    assert learn(algorithm, make(form, fault)).isfinite().all()
    assert fault.calls > 100


@pytest.mark.parametrize(("algorithm", "kind"), [(DQN, "loss"), (PPO, "gradient")])
def test_stable_baselines3_learns_nothing_bad_from_routes_that_fail(algorithm, kind):
    fault = Fault(kind, every=4)
    env = route("single", fault)
    assert learn(algorithm, env).isfinite().all()
    assert fault.calls > 30
