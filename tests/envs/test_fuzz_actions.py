"""Actions, seeds and options of `reset` of any kind: a step, or an error that changes nothing."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.envs.environment_set import plain
from tests.envs.hostile import actions, few, fingerprint, small, small_vector, sound
from tests.envs.test_ids import IDS, ROUTING

DOCUMENTED = (ValueError, TypeError, gym.error.ResetNeeded)
FORMS: list[tuple[str, dict[str, Any]]] = [(id, {}) for id in IDS] + [
    ("MTL-Emoji-v0", {"actions": "weights"}),
    ("MTL-Rooms-v0", {"aggregator": "nash", "actions": "weights", "transform": "none"}),
    ("MTL-QM9-Mini-v0", {"fused": True}),
]
VECTORS = ["MTL-Bandit-v0", ROUTING[0]]


@pytest.fixture(autouse=True)
def unsynced(monkeypatch):
    """Fingerprints need not survive a loss of power, and there are thousands."""
    monkeypatch.setattr("mtlgym.io.atomic.os.fsync", lambda file: None)


class Twins:
    """Two equal environments, only one of which gets invalid input."""

    def __init__(self, make):
        self.make = make
        self.fresh()

    def fresh(self):
        self.fuzzed, self.spared = self.make(), self.make()
        for env in (self.fuzzed, self.spared):
            env.reset(seed=0)
            env.action_space.seed(0)

    def agree(self):
        """Whether both behave alike from here on."""
        action = self.spared.action_space.sample()
        found = []
        for env in (self.fuzzed, self.spared):
            try:
                found.append(repr(plain(env.step(action))))
            except gym.error.ResetNeeded:
                found.append(repr(plain(env.reset())))
        return found[0] == found[1]

    def nonsense(self, action):
        """Tell it to one; where that is a step, the other makes it too. Gives what it gave."""
        try:
            given = self.fuzzed.step(action)
        except DOCUMENTED as error:
            assert str(error)
            return None
        assert repr(plain(given)) == repr(plain(self.spared.step(action)))
        return given


def check(twins, action, folder):
    try:
        before = fingerprint(twins.fuzzed, folder) if hasattr(twins.fuzzed, "state_dict") else None
        given = twins.nonsense(action)
        if given is None and before is not None:
            assert fingerprint(twins.fuzzed, folder) == before
        elif given is not None:
            assert sound(given[0], twins.fuzzed.observation_space)
            assert np.isfinite(given[1]).all()
        assert twins.agree()
    except BaseException:
        twins.fresh()  # so that what follows is not of this example's making
        raise


def size(space):
    return int(space.n) if isinstance(space, gym.spaces.Discrete) else int(np.prod(space.shape))


@pytest.mark.parametrize(("id", "options"), FORMS)
def test_an_action_of_any_kind_is_a_step_or_an_error_that_changes_nothing(id, options, tmp_path):
    twins = Twins(lambda: small(id, **options))

    @few(6)
    @given(actions(size(twins.fuzzed.action_space)))
    def run(action):
        check(twins, action, tmp_path)

    run()


@pytest.mark.parametrize("id", VECTORS)
def test_actions_of_any_kind_are_a_step_of_all_rows_or_an_error_that_changes_nothing(id, tmp_path):
    twins = Twins(lambda: small_vector(id))

    @few(15)
    @given(actions(3))
    def run(action):
        check(twins, action, tmp_path)

    run()


SEEDS = st.one_of(
    st.sampled_from([None, 0, -1, 2**31, 2**63, 10**40, True, 0.5, float("nan"), "0", [1], {}]),
    st.sampled_from([np.int64(3), np.uint8(3), np.array(3), b"1", (1, 2, 3), [None, 1, -1], ...]),
)
RESET_OPTIONS = st.one_of(
    st.sampled_from([None, {}, {"x": 1}, {"reset_mask": None}, {"reset_mask": [True] * 3}]),
    st.sampled_from([{"reset_mask": np.ones(3, np.bool_)}, {"reset_mask": np.zeros(3, np.bool_)}]),
    st.sampled_from([{"reset_mask": [[True], [0, 1]]}, {"reset_mask": "x"}, [], "x", 3]),
)


def check_reset(twins, seed, options, folder):
    try:
        saves = hasattr(twins.fuzzed, "state_dict")
        before = fingerprint(twins.fuzzed, folder) if saves else None
        try:
            observation, _ = twins.fuzzed.reset(seed=seed, options=options)
        except (*DOCUMENTED, gym.error.Error) as error:
            assert str(error)
            assert not saves or fingerprint(twins.fuzzed, folder) == before
        else:
            assert sound(observation, twins.fuzzed.observation_space)
            again, _ = twins.spared.reset(seed=seed, options=options)
            assert repr(plain(again)) == repr(plain(observation))
        assert twins.agree()
    except BaseException:
        twins.fresh()
        raise


@pytest.mark.parametrize("id", IDS)
def test_a_reset_with_odd_seeds_and_options_is_one_or_an_error_that_changes_nothing(id, tmp_path):
    twins = Twins(lambda: small(id))

    @few(4)
    @given(SEEDS, RESET_OPTIONS)
    def run(seed, options):
        check_reset(twins, seed, options, tmp_path)

    run()


@pytest.mark.parametrize("id", VECTORS)
def test_a_reset_of_rows_with_odd_seeds_is_one_or_an_error_that_changes_nothing(id, tmp_path):
    twins = Twins(lambda: small_vector(id))

    @few(15)
    @given(SEEDS, RESET_OPTIONS)
    def run(seed, options):
        check_reset(twins, seed, options, tmp_path)

    run()
