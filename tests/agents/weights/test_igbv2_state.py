"""IGBv2's chance and state: restored, interleaved and left alone."""

import copy
import random

import numpy as np
import pytest
import torch

from tests.agents.weights.decay import BOXES, Decay, Run, small


def plain(value):
    """Whether a state holds nothing but tensors, arrays and plain values."""
    if isinstance(value, dict):
        return all(isinstance(k, str) and plain(v) for k, v in value.items())
    if isinstance(value, list):
        return all(plain(each) for each in value)
    return value is None or type(value) in (torch.Tensor, np.ndarray, int, float, str, bool)


def equal(left, right):
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    return np.array_equal(left, right)


@pytest.mark.parametrize("actions", BOXES)
def test_restored_agent_continues_bit_for_bit(actions):
    run = Run(small(Decay(actions)), Decay(actions))
    run.go(57)
    state = run.agent.state_dict()
    twin = copy.copy(run)
    twin.env = copy.deepcopy(run.env)
    twin.agent = small(Decay(actions), seed=99)
    expected = run.go(30)
    end = run.agent.state_dict()
    for _ in range(2):  # the state is a copy: a second use finds it unchanged
        again = copy.copy(twin)
        again.env = copy.deepcopy(twin.env)
        again.agent.load_state_dict(state)
        np.testing.assert_array_equal(again.go(30), expected)
        assert equal(again.agent.state_dict(), end)


def test_state_holds_tensors_arrays_and_plain_values_only():
    run = Run(small(Decay()), Decay())
    assert plain(run.agent.state_dict())
    run.go(57)
    assert plain(run.agent.state_dict())


def test_state_of_another_agent_is_refused_and_changes_nothing():
    agent, other = small(Decay()), small(Decay(tasks=4))
    before = agent.state_dict()
    with pytest.raises(ValueError, match=r"'tasks': 4"):
        agent.load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match=r"'gamma': 0\.5"):
        agent.load_state_dict(small(Decay(), gamma=0.5).state_dict())
    assert equal(agent.state_dict(), before)


def test_same_seed_gives_the_same_decisions_and_another_seed_others():
    first, same, other = (Run(small(Decay(), seed), Decay()).go(60) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first[:5], other[:5])


def test_interleaved_agents_decide_as_they_do_apart():
    apart = [Run(small(Decay(), seed), Decay()).go(60) for seed in (1, 2)]
    together = [Run(small(Decay(), seed), Decay()) for seed in (1, 2)]
    steps = [[run.go(1)[0] for run in together] for _ in range(60)]
    np.testing.assert_array_equal(np.stack(steps, axis=1), apart)


def test_global_random_states_are_left_alone(monkeypatch):
    def states():
        numpy = np.random.get_state(legacy=False)  # noqa: NPY002
        return [torch.get_rng_state(), numpy["state"], numpy["gauss"]]

    # the type checker of the tests draws from `random` itself, so its state cannot be compared
    monkeypatch.delattr(random, "seed")
    monkeypatch.delattr(random, "setstate")
    before = states()
    run = Run(small(Decay()), Decay())
    run.go(60)
    run.agent.load_state_dict(run.agent.state_dict())
    assert equal(before, states())
    assert run.agent.gradient_steps > 0
