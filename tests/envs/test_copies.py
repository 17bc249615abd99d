"""Copies of environments with a model in training continue like the original, or are refused."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from torch import distributed, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from mtlgym.distributed.process_group import TrainingGroup
from mtlgym.envs.routing import RoutingVectorEnv
from mtlgym.training.schedule import SCHEDULERS
from tests.envs.routing.toy_images import SMALL, problem
from tests.envs.training.toy import LAYOUTS, make

COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda env: pickle.loads(pickle.dumps(env)),
}
FORMS: list[dict[str, Any]] = [
    {**LAYOUTS[0], "scheduler": "linear", "reward": "prediction_gain", "validate_steps": 2},
    {**LAYOUTS[2], "aggregator": "nash", "actions": "weights", "transform": "none"},
    {**LAYOUTS[0], "fused": True, "optimizer": "adamw", "render_mode": "ansi", "base_epoch": 1},
    {**LAYOUTS[1], "scheduler": "linear", "transform": "log"},
    {**LAYOUTS[3], "optimizer": "sgd", "scheduler": "plateau", "reward": "improvement"},
]


def begun(options, steps):
    """An environment after so many steps of random actions; before `reset` for None."""
    env = make(**options)
    env.action_space.seed(0)
    if steps is not None:
        env.reset(seed=0)
        for _ in range(steps):
            env.step(env.action_space.sample())
    return env


def continue_run(env, path, steps=5):
    """What happens next, in all digits, and the bytes of all that is kept then."""
    found = []
    for _ in range(steps):
        try:
            found.append(env.step(env.action_space.sample()))
        except ResetNeeded:
            found.append(env.reset())
    env.save(path)
    with np.printoptions(precision=17):
        return repr(found), path.read_bytes()


@pytest.mark.parametrize("steps", [None, 0, 6])
@pytest.mark.parametrize("options", FORMS)
def test_copies_of_a_training_go_on_as_the_first_would(tmp_path, options, steps):
    env, spared = begun(options, steps), begun(options, steps)
    others = [copied(env) for copied in COPIES.values()]
    others.append(copy.deepcopy(others[1]))
    if steps is None:
        for each in (spared, env, *others):
            each.reset(seed=3)
    expected = continue_run(spared, tmp_path / "spared")
    for each in (*others, env):  # no copy takes anything from the first
        assert continue_run(each, tmp_path / "copy") == expected


@pytest.mark.parametrize("options", FORMS[:4:3])
def test_copies_of_a_training_that_is_over_have_its_model_and_begin_anew(tmp_path, options):
    env = begun({**options, "steps": 3, "epochs": 1}, 3)
    others = [copied(env) for copied in COPIES.values()]
    figures, best = env.evaluate(), env.evaluate(best=True)
    with pytest.raises(ResetNeeded):
        env.step(env.action_space.sample())
    expected = continue_run(env, tmp_path / "first")
    for other in others:
        assert (other.evaluate(), other.evaluate(best=True)) == (figures, best)
        with pytest.raises(ResetNeeded):
            other.step(other.action_space.sample())
        assert continue_run(other, tmp_path / "copy") == expected


def in_group(*arguments):
    """The group of a process that is the only one."""
    return TrainingGroup(distributed.ProcessGroup(distributed.HashStore(), 0, 1))


@pytest.mark.parametrize("how", COPIES)
def test_an_environment_that_processes_share_cannot_be_copied(monkeypatch, how):
    monkeypatch.setattr("mtlgym.envs.training.episode.join_group", in_group)
    monkeypatch.setattr("mtlgym.envs.routing.vector.join_group", in_group)
    routed = RoutingVectorEnv(problem(), 4, distributed=True, **SMALL)
    for env in (make(distributed=True), routed):
        with pytest.raises(TypeError, match="`distributed=True` cannot be copied"):
            COPIES[how](env)


def rates(scheduler, steps):
    """The learning rates of so many steps."""
    found = []
    for _ in range(steps):
        scheduler.optimizer.step()
        scheduler.step(*((1.0,) if isinstance(scheduler, ReduceLROnPlateau) else ()))
        found.append(scheduler.optimizer.param_groups[0]["lr"])
    return found


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_pickled_scheduler_goes_on_as_the_first(name):
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    scheduler = SCHEDULERS[name].make(optimizer, 30)
    rates(scheduler, 2)
    other = pickle.loads(pickle.dumps(scheduler))
    expected = rates(scheduler, 28)
    assert rates(other, 28) == expected
    assert (len(set(expected)) > 1) == (name not in ("constant", "halve"))
