"""IGBv2's schedule and learning, on a toy training whose losses decay."""

import numpy as np
import pytest
from gymnasium import spaces

from mtlgym import agents
from tests.agents.weights.decay import BOXES, PER_EPOCH, Decay, Run, make, small


def test_first_transition_first_update_and_first_use_come_in_epochs_3_4_and_6():
    run = Run(small(Decay()), Decay())
    never = Run(small(Decay(), use_epoch=99), Decay())
    trace = []
    for _ in range(6 * PER_EPOCH):
        same = np.array_equal(run.go(1), never.go(1))
        trace.append((run.agent.stored > 0, run.agent.gradient_steps > 0, not same))
    first = [next(step for step, row in enumerate(trace, 1) if row[i]) for i in range(3)]
    # step 20 leads into the first batch of epoch 3, step 51 is the first decision of epoch 6
    assert first == [20, 30, 51]


def test_updates_and_batch_grow_with_the_buffer(monkeypatch):
    agent = make(Decay(), update_every=10, buffer_size=20)
    rounds = []
    monkeypatch.setattr(agent._model, "train", lambda steps, batch: rounds.append((steps, batch)))
    Run(agent, Decay()).go(50)
    # 11 of 20 transitions are stored at step 30, all 20 from step 39 on
    assert rounds == [(38, 198), (50, 256), (50, 256)]


@pytest.mark.parametrize("actions", BOXES)
def test_decisions_lie_in_the_action_space(actions):
    env = Decay(actions)
    for action in Run(small(env), env).go(60):
        assert env.action_space.contains(action)
        if actions == "weights":
            assert action.sum() == pytest.approx(3, rel=1e-5)


def test_random_weights_are_the_softmax_of_standard_normals():
    agent = make(Decay())
    drawn = np.stack([agent.act(np.ones(3, np.float32), {"epoch": 1}) for _ in range(20_000)])
    ratio = np.log(drawn[:, 0] / drawn[:, 1])
    assert ratio.mean() == pytest.approx(0, abs=0.05)
    assert ratio.var() == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(("terminated", "truncated"), [(True, False), (False, True)])
def test_failure_masks_the_target_and_the_end_of_the_budget_does_not(terminated, truncated):
    agent, losses = make(Decay()), np.ones(3, np.float32)
    info = {"epoch": 3, "reward_ready": truncated}
    agent.learn(losses, losses, 0.5, losses, terminated, truncated, info)
    buffer = agent._model.replay_buffer
    sample = buffer._get_samples(np.zeros(1, int))
    assert float(sample.dones) == float(terminated)


@pytest.mark.parametrize("actions", BOXES)
def test_agent_learns_to_weigh_up_the_rewarded_task(actions):
    numbers = {"learning_rate": 5e-3, "gamma": 0.0, "updates": 12, "batch_size": 64}
    env = Decay(actions)
    run = Run(small(env, buffer_size=1000, target_entropy=-6.0, **numbers), env)
    run.go(150)
    decisions = run.go(50)
    shares = np.exp(2 * decisions) if actions == "logits" else decisions
    assert (shares[:, 0] / shares.sum(1)).mean() > 0.6  # a third while it is random


def test_other_action_spaces_are_refused_with_those_allowed():
    env = Decay()
    for space in (spaces.Discrete(3), spaces.Box(0, 1, (3,), np.float32)):
        with pytest.raises(ValueError, match=r'IGBv2 needs .*actions="weights".*actions="logits"'):
            agents.make("igbv2", env.observation_space, space)


@pytest.mark.parametrize("name", ["update_every", "buffer_size", "temperature"])
def test_numbers_out_of_range_are_refused_by_name(name):
    value = 0.0 if name == "temperature" else 0
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        make(Decay(), **{name: value})


def test_huge_losses_and_rewards_leave_the_policy_finite():
    env = Decay()
    agent = small(env, use_epoch=1, update_epoch=1)
    info = {"epoch": 3, "step": 1, "reward_ready": True}
    huge = np.full(3, 1e30, np.float32)
    for _ in range(20):
        action = agent.act(huge, info)
        agent.learn(huge, action, -1e30, huge, False, False, info)
    assert np.isfinite(agent.act(huge, info)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(bad):
    env = Decay()
    agent = small(env, use_epoch=1)
    info = {"epoch": 3, "step": 1, "reward_ready": True}
    good, wrong = np.ones(3, np.float32), np.full(3, bad, np.float32)
    with pytest.raises(ValueError, match="`observation`"):
        agent.act(wrong, info)
    with pytest.raises(ValueError, match="`reward`"):
        agent.learn(good, good, bad, good, False, False, info)
    assert agent.stored == 0
