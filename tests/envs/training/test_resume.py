"""A run that is saved and continued is bit-identical to one that was never stopped."""

from functools import partial

import pytest
import torch

from mtlgym.envs.training.env import TrainingEnv
from tests.envs.training.toy import toy

OPTIONS = [
    {},
    {"interface": "tasks", "observation": ("losses", "since_chosen")},
    {"reward": "prediction_gain", "scheduler": "plateau"},
    {"same_batch": True, "scheduler": "halve", "weight_decay": 0.1, "validate_every": 2},
]


def make(options, sources=1):
    return TrainingEnv(toy(sources), epochs=4, batch_size=10, render_mode="ansi", **options)


def finish(env):
    steps: list[tuple] = []
    while not (steps and (steps[-1][2] or steps[-1][3])):
        steps.append(env.step(env.action_space.sample()))
    return steps


@pytest.mark.parametrize("sources", [1, 3])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("stop", [0, 3, 4, 9])
def test_a_continued_run_is_the_undisturbed_one(options, sources, stop, tmp_path):
    whole = make(options, sources)
    whole.action_space.seed(0)
    whole.reset(seed=2)
    for _ in range(stop):
        whole.step(whole.action_space.sample())
    whole.save(tmp_path / "c")

    resumed = make(options, sources)
    observation, info = resumed.load(tmp_path / "c")
    assert repr(info["losses"]) == repr(whole.episode.record.to_info()["losses"])
    assert observation in resumed.observation_space
    whole.action_space.seed(1)
    resumed.action_space.seed(1)
    assert repr(finish(whole)) == repr(finish(resumed))
    assert whole.evaluate("test", best=True) == resumed.evaluate("test", best=True)
    assert whole.render() == resumed.render()
    pairs = zip(
        whole.episode.learner.model.state_dict().values(),
        resumed.episode.learner.model.state_dict().values(),
        strict=True,
    )
    assert all(torch.equal(a, b) for a, b in pairs)
    assert repr(whole.reset()) == repr(resumed.reset())


def test_saving_disturbs_nothing(tmp_path):
    one, two = make({}), make({})
    for env in (one, two):
        env.action_space.seed(0)
        env.reset(seed=0)
    for _ in range(5):
        one.save(tmp_path / "c")
        action = one.action_space.sample()
        assert repr(one.step(action)) == repr(two.step(action))


def test_the_checkpoint_of_another_environment_is_refused_and_changes_nothing(tmp_path):
    one, other = make({}), make({"reward": "mean_loss_decline", "lr": 1e-2})
    one.reset(seed=0)
    one.save(tmp_path / "c")
    other.reset(seed=1)
    with pytest.raises(ValueError, match=r"lr: 0.001 there, 0.01 here; reward: 'min_loss_decline'"):
        other.load(tmp_path / "c")
    fresh = make({"reward": "mean_loss_decline", "lr": 1e-2})
    fresh.reset(seed=1)
    action = fresh.action_space.sample()
    assert repr(other.step(action)) == repr(fresh.step(action))


def test_the_checkpoint_of_another_version_is_refused(tmp_path, monkeypatch):
    env = make({})
    env.reset(seed=0)
    monkeypatch.setattr("mtlgym.envs.saved_state.__version__", "0.0.1")
    env.save(tmp_path / "c")
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"saved by mtlgym 0.0.1"):
        env.load(tmp_path / "c")


def test_a_state_in_memory_can_be_loaded_more_than_once():
    env = make({})
    env.action_space.seed(0)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    state = env.state_dict()
    runs = []
    for _ in range(3):
        env.load_state_dict(state)
        env.action_space.seed(1)
        runs.append(repr(finish(env)))
    assert runs[0] == runs[1] == runs[2]


def test_an_object_as_reward_is_described_without_its_address():
    one, two = (make({"reward": partial(reward, 2.0)}) for _ in range(2))
    one.reset(seed=0)
    two.load_state_dict(one.state_dict())


def reward(scale, before, after):
    return scale * after.progress
