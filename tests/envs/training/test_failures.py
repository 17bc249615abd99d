import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import SAC

from mtlgym.envs.training.env import TrainingEnv
from tests.envs.training.toy import TASKS, losses, toy


class Faulty:
    """Losses that go wrong from some call on."""

    def __init__(self, value, after, task=1):
        self.value, self.after, self.task, self.calls = value, after, task, 0

    def __call__(self, model, batch):
        self.calls += 1
        values = losses(model, batch)
        if self.calls <= self.after:
            return values
        fault = torch.zeros(3)
        fault[self.task] = self.value
        return values + fault


class BadGradient(Faulty):
    """Sound losses with a gradient that is not finite."""

    def __call__(self, model, batch):
        self.calls += 1
        values = losses(model, batch)
        if self.calls <= self.after:
            return values
        bad = (values[self.task] * 0).sqrt()  # 0, with an infinite derivative
        return torch.stack([v + bad if t == self.task else v for t, v in enumerate(values)])


def check_end(step, env):
    observation, reward, terminated, truncated, info = step
    assert observation in env.observation_space
    assert reward == env.options.failure_reward == -1.0
    assert terminated
    assert not truncated
    assert TASKS[1] in info["failure"]
    assert all(np.isfinite(info[name]).all() for name in ("losses", "weights", "lr"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -1e6])
def test_a_loss_that_is_no_loss_terminates_and_names_the_task(value):
    faulty = Faulty(value, after=3)
    env = TrainingEnv(toy(losses=faulty), epochs=3, batch_size=10)
    first = env.reset(seed=0)[0]
    for _ in range(2):
        observation, _, terminated, _, _ = env.step(np.zeros(3))
        assert not terminated
    step = env.step(np.zeros(3))
    check_end(step, env)
    assert np.array_equal(step[0], observation)
    faulty.after = 10**9
    assert np.array_equal(env.reset(seed=0)[0], first)
    assert not env.step(np.zeros(3))[2]


def test_a_gradient_that_is_not_finite_never_reaches_the_optimizer():
    env = TrainingEnv(toy(losses=BadGradient(0, after=1)), epochs=3, batch_size=10)
    env.reset(seed=0)
    env.step(np.zeros(3))  # its gradient was sound, the next one's is not
    model = env.episode.learner.model
    before = {name: value.clone() for name, value in model.named_parameters()}
    check_end(env.step(np.zeros(3)), env)
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())


class Overflow(Faulty):
    """Sound losses, one of which has an infinite gradient of its own."""

    def __call__(self, model, batch):
        values = losses(model, batch)
        total = model.heads[self.task].weight.sum()
        steep = (total - total.detach()) * 1e30 * 1e30  # 0, with a derivative past float32
        return values + torch.eye(3)[self.task] * steep


def test_the_one_task_with_a_broken_gradient_is_named_alone():
    problem = toy(losses=Overflow(0, after=0))
    env = TrainingEnv(problem, epochs=3, batch_size=10, transform="none")
    env.reset(seed=0)
    info = env.step(np.zeros(3))[4]
    assert info["failure"] == "the weighted gradient of middle is not finite"


def test_a_first_loss_that_is_not_finite_ends_at_the_first_step():
    env = TrainingEnv(toy(losses=Faulty(float("nan"), after=0)), epochs=3, batch_size=10)
    observation, info = env.reset(seed=0)
    assert observation.tolist() == [0.0, 0.0, 0.0]
    assert TASKS[1] in info["failure"]
    check_end(env.step(np.zeros(3)), env)


def test_a_chosen_task_that_fails_is_named():
    problem = toy(3)
    env = TrainingEnv(problem, epochs=3, batch_size=10, interface="tasks")
    env.reset(seed=0)
    env.step(0)
    problem.splits["train"].x[1][:] = float("nan")
    assert not env.step(0)[2]
    check_end(env.step(1), env)


def test_weights_that_overflow_terminate():
    env = TrainingEnv(toy(), epochs=3, batch_size=10, actions="weights")
    env.reset(seed=0)
    _, reward, terminated, _, info = env.step(np.full(3, 3e38))
    assert terminated
    assert reward == -1.0
    assert "gradient" in info["failure"]


def test_sac_trains_through_failures():
    faulty = Faulty(float("nan"), after=7)
    env = TrainingEnv(toy(losses=faulty), epochs=1, batch_size=10)
    SAC("MlpPolicy", env, learning_starts=2, batch_size=4, seed=0).learn(12)
    assert faulty.calls > 12


def test_a_failure_after_the_update_is_told_with_the_step_that_was_made():
    faulty = Faulty(float("nan"), after=3)
    env = TrainingEnv(toy(losses=faulty), epochs=3, batch_size=10)
    env.reset(seed=0)
    for _ in range(3):
        info = env.step(np.array([1.0, 0.0, -1.0]))[4]
    assert info["failure"]
    assert info["step"] == env.episode.learner.steps == 3
    assert info["weights"][0] > info["weights"][1] > info["weights"][2]


def test_a_weight_past_what_the_optimizer_can_square_terminates_and_names_the_task():
    env = TrainingEnv(toy(), epochs=3, batch_size=10, actions="weights", transform="none")
    env.reset(seed=0)
    info = env.step(np.array([1.0, 1e30, 1.0]))[4]
    assert info["failure"] == "the weighted gradient of middle is not finite"
    state = env.episode.learner.state_dict()["update"]["optimizer"]["state"]
    assert not state  # nothing has reached the optimizer


@pytest.mark.parametrize("change", [lambda x: x[:2], lambda x: x[None], lambda x: x.sum()])
def test_losses_of_another_shape_are_refused_by_name(change):
    env = TrainingEnv(toy(losses=lambda m, b: change(losses(m, b))), epochs=1, batch_size=10)
    with pytest.raises(ValueError, match="problem 'toy' must have the shape"):
        env.reset(seed=0)


def test_an_error_in_a_step_closes_the_episode():
    def fail(model, batch):
        raise RuntimeError("broken")

    problem = toy()
    env = TrainingEnv(problem, epochs=3, batch_size=10)
    env.reset(seed=0)
    object.__setattr__(problem, "losses", fail)
    with pytest.raises(RuntimeError, match="broken"):
        env.step(np.zeros(3))
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(3))
