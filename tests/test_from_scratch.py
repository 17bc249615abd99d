"""The example without mtlgym and `TrainingEnv` give the same rollout, bit for bit."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from mtlgym.datasets.sources import Source
from mtlgym.envs.training.env import TrainingEnv
from mtlgym.metrics import Metric
from mtlgym.problems.problem import Problem
from tests import ROOT

EXAMPLE = runpy.run_path(str(ROOT / "examples" / "00_from_scratch.py"))
TASKS = ("sine", "distance")


class Batch(tuple):
    def to(self, device):
        return Batch(part.to(device) for part in self)


class Data:
    def __init__(self, seed):
        self.x, self.y = EXAMPLE["make_data"](seed)
        self.sizes: tuple[int, ...] = (len(self.x),)

    def batch(self, source, indices, seed):
        return Batch((self.x[indices], self.y[indices]))


def measure(model, split):
    errors = EXAMPLE["squared_errors"](model, (split.x, split.y)).tolist()
    return {f"{task}/mse": error for task, error in zip(TASKS, errors, strict=True)}


def make_env():
    problem = Problem(
        name="two tasks",
        tasks=TASKS,
        splits={split: Data(seed) for seed, split in enumerate(("train", "val", "test"))},
        build=EXAMPLE["TwoTasks"],
        losses=EXAMPLE["squared_errors"],
        task_loss=lambda model, batch, task: EXAMPLE["squared_errors"](model, batch)[task],
        measure=measure,
        metrics=tuple(Metric(task, "mse") for task in TASKS),
        source=Source("two tasks", "embedded", Path("two tasks"), "0" * 64),
    )
    return TrainingEnv(
        problem,
        actions="weights",
        observation=("losses", "relative_losses"),
        base_epoch=EXAMPLE["BASE_EPOCH"],
        batch_size=EXAMPLE["BATCH"],
        epochs=EXAMPLE["EPOCHS"],
        lr=EXAMPLE["LR"],
        scheduler="halve_fifths",
    )


def random_weights(seed):
    rng = np.random.default_rng(seed)
    return lambda observation: rng.uniform(0, 3, len(TASKS)).astype(np.float32)


def same_parameters(ours, theirs):
    theirs = theirs.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in ours.state_dict().items())


@pytest.mark.parametrize("policy", ["improvable_gap", random_weights])
def test_the_example_and_the_environment_give_the_same_rollout(policy):
    example, env = EXAMPLE["TrainingMDP"](), make_env()
    assert example.observation_space.shape == env.observation_space.shape
    assert example.action_space == env.action_space
    act, expected = (policy(0), policy(0)) if callable(policy) else (EXAMPLE[policy],) * 2
    for seed in (0, None):  # the second episode follows from the first one's generator
        ours, _ = example.reset(seed=seed)
        theirs, _ = env.reset(seed=seed)
        assert same_parameters(example.model, env.episode.learner.model)
        np.testing.assert_array_equal(ours, theirs)
        rewards, done = [], False
        while not done:
            action = act(ours)
            np.testing.assert_array_equal(action, expected(theirs))
            ours, reward, *ends, _ = example.step(action)
            theirs, *outcome, info = env.step(action)
            np.testing.assert_array_equal(ours, theirs)
            assert [reward, *ends] == outcome
            np.testing.assert_array_equal(info["weights"], action)
            rewards.append(reward)
            done = any(ends)
        assert len(rewards) == env.episode.budget == EXAMPLE["BUDGET"]
        assert np.count_nonzero(rewards) > len(rewards) / 2
        assert same_parameters(example.model, env.episode.learner.model)


@pytest.mark.filterwarnings("ignore:.*Box (action|observation) space")  # which have no upper bound
def test_the_example_meets_the_gymnasium_api():
    check_env(EXAMPLE["TrainingMDP"](), skip_render_check=True)
