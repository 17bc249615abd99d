import gymnasium as gym
import jaxtyping
import numpy as np
import pytest
import torch

from mtlgym.envs.training.env import TrainingEnv
from tests.envs.faults import Fault, strike, training_problem
from tests.envs.training.toy import LAYOUTS, make


def test_stepping_without_an_open_episode_is_refused():
    env = make()
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(3))
    with pytest.raises(gym.error.ResetNeeded):
        env.evaluate()
    with pytest.raises(gym.error.ResetNeeded):
        env.save("nowhere")
    env.reset(seed=0)
    while not env.step(np.zeros(3))[3]:
        pass
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(3))


@pytest.mark.parametrize("options", LAYOUTS)
def test_a_refused_action_changes_nothing(options):
    one, two = make(**options), make(**options)
    one.reset(seed=0)
    two.reset(seed=0)
    for bad in (np.full(3, np.nan), np.zeros(2), "x", None, -1):
        with pytest.raises(ValueError, match="`action`"):
            one.step(bad)
    action = one.action_space.sample()
    assert repr(one.step(action)) == repr(two.step(action))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reward": "min_los_decline"}, "Did you mean 'min_loss_decline'"),
        ({"observation": ("loses",)}, "Did you mean 'losses'"),
        ({"observation": "losses"}, "`observation`"),
        ({"observation": ()}, "`observation`"),
        ({"interface": "task"}, "Did you mean 'tasks'"),
        ({"actions": "weight"}, "Did you mean 'weights'"),
        ({"transform": "logs"}, "Did you mean 'log'"),
        ({"scheduler": "plateu"}, "Did you mean 'plateau'"),
        ({"scale": 0.0}, "`scale`"),
        ({"epochs": 0}, "`epochs`"),
        ({"batch_size": -1}, "`batch_size`"),
        ({"lr": float("nan")}, "`lr`"),
        ({"steps": 0}, "`steps`"),
        ({"device": "gpu"}, "`device`"),
        ({"weight_decay": -1.0}, "`weight_decay`"),
        ({"validate_every": -1}, "`validate_every`"),
        ({"base_epoch": 0}, "`base_epoch`"),
        ({"failure_reward": float("inf")}, "`failure_reward`"),
        ({"render_mode": "human"}, "`render_mode`"),
        ({"epoch": 3}, "Did you mean 'epochs'"),
        ({"lr": 1e300}, "`lr` must be at most 1e\\+30"),
        ({"weight_decay": 1e300}, "`weight_decay` must be at most"),
        ({"scale": 1e300}, "`scale` must be at most"),
        ({"max_norm": 1e300}, "`max_norm` must be at most"),
        ({"failure_reward": -1e300}, "`failure_reward` .* of at least"),
        ({"steps": 10**400, "scheduler": "linear"}, "`steps` must be at most"),
        ({"epochs": 10**400, "scheduler": "linear"}, "`epochs` must be at most"),
        ({"batch_size": 2**24}, "`batch_size` must be at most"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interface": np.zeros(2)}, "unknown interface array.*Known: tasks, weights"),
        ({"actions": np.zeros(2)}, "unknown actions array.*Known: logits, weights"),
        ({"transform": np.zeros(2)}, "unknown transform array.*Known: log, none"),
        ({"head_weighting": np.zeros(2)}, "unknown `head_weighting` array.*Known: unit, weighted"),
        ({"precision": np.zeros(2)}, "unknown `precision` array.*Known: bfloat16, float32"),
        ({"render_mode": np.zeros(2)}, "`render_mode` must be None or one of .*not array"),
        ({"device": None}, "`device` must name a device.*not None"),
        ({"device": 10**30}, "`device` must name a device.*not 10000"),
        ({"device": np.zeros(2), "distributed": True}, "`device` must name a device.*not array"),
    ],
)
def test_an_option_of_a_wrong_type_is_named_where_no_annotation_is_checked(
    options, message, monkeypatch
):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match=message):
        make(**options)


@pytest.mark.parametrize(
    "options", [{}, {"fused": True}, {"aggregator": "mgda"}, {"interface": "tasks", "sources": 3}]
)
@pytest.mark.parametrize("kind", ["data", "loss"])
def test_what_a_failed_batch_did_to_running_statistics_is_undone(options, kind):
    fault = Fault(kind)
    sources, settings = options.get("sources", 1), {**options}
    settings.pop("sources", None)
    env = TrainingEnv(training_problem(fault, sources), epochs=9, batch_size=10, **settings)
    env.reset(seed=0)
    action = 1 if "interface" in options else np.zeros(3)
    env.step(action)
    strike(fault, env.problem, env.episode.learner.model)
    terminated = False
    while not terminated:
        before = {name: b.clone() for name, b in env.episode.learner.model.named_buffers()}
        _, _, terminated, _, info = env.step(action)
    assert "loss of" in info["failure"]
    after = dict(env.episode.learner.model.named_buffers())
    assert after
    assert all(value.isfinite().all() for value in after.values())
    assert np.isfinite(list(env.evaluate("test").values())).all()
    assert all(torch.equal(value, before[name]) for name, value in after.items())


def test_an_unknown_problem_gets_a_suggestion():
    with pytest.raises(ValueError, match="Did you mean 'qm9'"):
        TrainingEnv("qm8")


def test_an_unknown_split_gets_a_suggestion():
    env = make()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="Did you mean 'test'"):
        env.evaluate("tset")


@pytest.mark.parametrize(
    "baseline",
    [{"source": "x"}, {"source": "x", "values": {}}, {"source": "x", "values": {"left/mae": 0.0}}],
)
def test_a_baseline_that_is_none_is_refused(baseline):
    with pytest.raises(ValueError, match="baseline"):
        make(baseline=baseline)


def test_a_reward_that_is_not_finite_is_an_error_that_names_it():
    env = make(reward=lambda before, after: float("nan"))
    env.reset(seed=0)
    with pytest.raises(ValueError, match="`reward`"):
        env.step(np.zeros(3))


def test_a_reset_that_fails_leaves_the_episode_before(monkeypatch):
    one, two = make(), make()
    for env in (one, two):
        env.reset(seed=0)

    def fail(*_):
        raise RuntimeError("no memory")

    with monkeypatch.context() as patch:
        patch.setattr("mtlgym.envs.training.episode.Episode", fail)
        with pytest.raises(RuntimeError, match="no memory"):
            one.reset()
    action = np.zeros(3)
    assert repr(one.step(action)) == repr(two.step(action))


@pytest.mark.parametrize("part", [5, None, ["epochs"]])
def test_a_state_whose_description_is_none_is_refused_and_changes_nothing(part):
    one, two = make(), make()
    one.reset(seed=0)
    two.reset(seed=0)
    with pytest.raises(ValueError, match="this is not the state of an environment"):
        one.load_state_dict({**one.state_dict(), "description": part})
    assert repr(one.step(np.zeros(3))) == repr(two.step(np.zeros(3)))
