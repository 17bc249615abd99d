import copy

import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from mtlgym.envs.training.env import TrainingEnv
from tests.envs.training.toy import LAYOUTS, TASKS, losses, make, rollout, same, toy


@pytest.mark.parametrize("options", LAYOUTS)
def test_both_checkers_pass(options):
    check_env(make(**options), skip_render_check=True)
    check_env_sb3(make(**options))


@pytest.mark.parametrize("options", LAYOUTS)
def test_one_seed_gives_one_rollout_whatever_runs_between(options):
    between = make(**options)
    between.reset(seed=7)
    assert same(rollout(make(**options), 0, 8), rollout(make(**options), 0, 8, between))
    assert not same(rollout(make(**options), 0), rollout(make(**options), 1))


def test_an_unseeded_reset_goes_on_from_the_seed():
    one, two = make(), make()
    first = [one.reset(seed=3)[0], one.reset()[0], one.reset()[0]]
    second = [two.reset(seed=3)[0], two.reset()[0], two.reset()[0]]
    assert same(first, second)
    assert not same(first[0], first[1])
    assert not same(first[1], first[2])


@pytest.mark.parametrize("options", LAYOUTS)
def test_global_random_states_are_left_alone(options):
    np_state, torch_state = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    rollout(make(**options), steps=3)
    assert same(np_state, np.random.get_state())  # noqa: NPY002
    assert torch.equal(torch_state, torch.get_rng_state())


@pytest.mark.parametrize("options", LAYOUTS)
def test_every_observation_is_in_its_space_and_the_budget_truncates(options):
    names = ("losses", "log_losses", "relative_losses", "weights", "since_chosen", "progress", "lr")
    env = make(**options, observation=names)
    trace = rollout(env)
    assert all(step[0] in env.observation_space for step in trace)
    assert all(step[0].shape == (7 * len(TASKS),) for step in trace)
    assert len(trace) == 1 + env.episode.budget
    assert [step[3] for step in trace[1:]] == [False] * (len(trace) - 2) + [True]
    assert all(type(step[1]) is float and type(step[2]) is bool for step in trace[1:])
    assert trace[-1][0][5 * len(TASKS)] == 1.0  # progress


def test_an_epoch_sees_the_largest_source_once_or_in_task_choice_all_of_them():
    for options, steps in zip(LAYOUTS, (4, 4, 5, 4 + 5 + 5), strict=True):
        env = make(**options)
        env.reset(seed=0)
        assert env.episode.steps_per_epoch == steps


def test_a_step_costs_one_forward_and_one_backward():
    calls = []

    def counted(model, batch):
        calls.append("forward")
        return losses(model, batch)

    def count(options):
        env = TrainingEnv(toy(losses=counted), epochs=2, batch_size=10, validate_every=0, **options)
        env.reset(seed=0)
        calls.clear()
        env.step(env.action_space.sample())
        return len(calls)

    assert count({}) == 1
    assert count({"reward": "prediction_gain"}) == 2
    assert count({"same_batch": True}) == 2


def test_the_task_interface_trains_on_the_chosen_task_alone():
    env = make(3, interface="tasks")
    _, info = env.reset(seed=0)
    heads = copy.deepcopy(env.episode.learner.model.heads)
    observation, _, _, _, after = env.step(1)
    changed = [
        not torch.equal(old.weight, new.weight)
        for old, new in zip(heads, env.episode.learner.model.heads, strict=True)
    ]
    assert changed == [False, True, False]
    assert after["task"] == 1
    assert after["weights"].tolist() == [0.0, 1.0, 0.0]
    assert observation[[0, 2]].tolist() == info["losses"][[0, 2]].astype(np.float32).tolist()


def test_base_losses_are_the_mean_over_the_second_epoch_and_rewards_wait_for_them():
    env = make()
    observations, infos, rewards = [env.reset(seed=0)[0]], [], []
    for _ in range(12):
        observation, reward, _, _, info = env.step(np.zeros(3, np.float32))
        observations.append(observation)
        infos.append(info)
        rewards.append(reward)
    base = np.mean(observations[4:8], axis=0)
    np.testing.assert_allclose(env.episode.record.base_losses, base, rtol=1e-6)
    assert [info["reward_ready"] for info in infos] == [False] * 7 + [True] * 5
    assert rewards[:7] == [0.0] * 7
    for k in range(7, 12):
        expected = ((observations[k] - observations[k + 1]) / base).min()
        assert rewards[k] == pytest.approx(expected, rel=1e-5)


def test_prediction_gain_is_the_decline_on_the_same_batch():
    env = make(reward="prediction_gain")
    _, info = env.reset(seed=0)
    before = info["losses"]
    _, reward, _, _, info = env.step(np.zeros(3, np.float32))
    np.testing.assert_array_equal(info["trained_losses"], before)
    gain = (info["trained_losses"] - info["retrained_losses"]).mean()
    assert reward == pytest.approx(gain, rel=1e-5)
    assert reward > 0  # dropout draws the same, so one small step must help


def test_looking_again_changes_nothing_but_the_info():
    plain = rollout(make())
    again = rollout(make(same_batch=True))
    assert all(same(a[0], b[0]) for a, b in zip(plain, again, strict=True))


def test_infos_hold_plain_values_and_fresh_arrays():
    trace = rollout(make(), steps=3)
    infos = [trace[0][1], *(step[4] for step in trace[1:])]
    for info in infos:
        assert {
            "losses",
            "weights",
            "step",
            "epoch",
            "lr",
            "data",
            "reward_ready",
            "failure",
        } <= set(info)
        assert all(type(value) in (int, float, bool, str, np.ndarray) for value in info.values())
    assert not np.shares_memory(infos[0]["losses"], infos[1]["losses"])


def test_a_function_of_ones_own_is_a_reward():
    env = make(reward=lambda before, after: after.step * 10)
    env.reset(seed=0)
    assert env.step(np.zeros(3))[1] == 10.0
