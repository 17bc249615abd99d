"""Evaluation, rendering, rewards of one's own, budgets."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from mtlgym.envs.training.env import TrainingEnv
from tests.envs.training.toy import TASKS, losses, make, rollout, same, toy


def test_evaluate_changes_nothing_and_the_best_model_validated_best():
    one, two = make(), make()
    for env in (one, two):
        env.reset(seed=0)
    for _ in range(12):
        a = one.step(np.zeros(3))
        one.evaluate("test")
        b = two.step(np.zeros(3))
        assert same(a[0], b[0])
    assert set(one.evaluate()) == {f"{task}/mae" for task in TASKS}
    best = one.episode.learner.validation.best_score
    assert np.mean(list(one.evaluate("val", best=True).values())) == pytest.approx(best)
    assert one.evaluate("val") != one.evaluate("test")


def test_rendering_gives_a_picture_or_a_table():
    for mode in ("rgb_array", "ansi"):
        env = make(render_mode=mode)
        env.reset(seed=0)
        env.render()
        env.step(np.zeros(3))
        drawn = env.render()
        if mode == "ansi":
            assert all(task in drawn for task in TASKS)
        else:
            assert drawn.dtype == np.uint8
            assert drawn.shape == (480, 640, 3)
            assert drawn.min() < drawn.max()


def test_closing_twice_is_allowed():
    env = make()
    env.reset(seed=0)
    env.close()
    env.close()


@dataclass
class Declines:
    """A reward with a setting, of a type that has no hash."""

    scale: float
    needs_base_losses = True
    needs_same_batch = True

    def __call__(self, before, after):
        if before.base_losses is None:
            return 0.0
        return self.scale * float((after.trained - after.retrained).sum())


def test_a_reward_may_be_an_object_that_says_what_it_needs():
    env = make(reward=Declines(2.0))
    infos = [step[4] for step in rollout(env)[1:]]
    assert [info["reward_ready"] for info in infos] == [False] * 7 + [True] * 5
    assert "retrained_losses" in infos[0]


def test_base_losses_of_zero_give_finite_rewards_and_features():
    def vanish(model, batch):
        return losses(model, batch) * torch.tensor([1.0, 0.0, 1.0])

    names = ("losses", "relative_losses")
    env = TrainingEnv(toy(losses=vanish), epochs=3, batch_size=10, observation=names)
    for step in rollout(env)[1:]:
        assert np.isfinite(step[1])
        assert np.isfinite(step[0]).all()
        assert not step[2]


def test_evaluating_leaves_frozen_parts_of_the_model_frozen():
    env = make()
    env.reset(seed=0)
    frozen = env.episode.learner.model.trunk[1].eval()
    env.evaluate()
    assert not frozen.training
    assert env.episode.learner.model.training


def test_a_budget_in_steps_and_left_out_last_batches():
    env = make(batch_size=12, drop_last=True, steps=7)
    env.reset(seed=0)
    assert env.episode.steps_per_epoch == 3
    assert len(rollout(env)) == 8
