"""Vector environments for Stable-Baselines3, against its own loop over single environments."""

from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers.vector import ClipReward, RecordEpisodeStatistics
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor, VecNormalize

import mtlgym  # noqa: F401  # registers the id
from mtlgym.agents import SB3VecEnv
from mtlgym.agents.sb3.vec_env import split
from tests.envs.bandit.pulls import assert_same

SAME_STEP = AutoresetMode.SAME_STEP


class Walk(gym.Env):
    """Ends by chance in every way there is, and has infos of every kind, some of them at times."""

    observation_space = spaces.Dict(at=spaces.Box(-9, 9, (2,), np.float32), left=spaces.Discrete(9))
    action_space = spaces.Discrete(3)

    def __init__(self, render_mode=None, ends=None):
        self.render_mode, self.ends = render_mode, ends

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._look(), {"from": (options or {}).get("from", "home"), "chance": self._draw()}

    def step(self, action):
        ends = self.ends or (self.np_random.random(2) < 0.3).tolist()
        info: dict[str, Any] = {"is_success": bool(action == 1), "deep": {"chance": self._draw()}}
        if self.np_random.random() < 0.5:
            info |= {"rows": np.arange(3) * action, "word": f"w{action}"}
        return self._look(), self._draw(), *ends, info

    def render(self):
        return np.full((4, 6, 3), 7, np.uint8)

    def _draw(self):
        return float(self.np_random.random())

    def _look(self):
        return {
            "at": self.np_random.random(2).astype(np.float32),
            "left": int(self.np_random.integers(9)),
        }


def bandits(rows=3, **options):
    return gym.make_vec("MTL-Bandit-v0", num_envs=rows, autoreset_mode=SAME_STEP, **options)


def looped(make, rows=3, **options):
    return SyncVectorEnv([make] * rows, autoreset_mode=SAME_STEP, **options)


BANDIT = partial(gym.make, "MTL-Bandit-v0", steps=5)
CARTPOLE = partial(gym.make, "CartPole-v1", max_episode_steps=14)
PAIRS: dict[str, tuple[Any, Any]] = {
    "bandit": (partial(bandits, steps=5), BANDIT),
    "cartpole": (partial(looped, CARTPOLE), CARTPOLE),
    "walk": (partial(looped, Walk), Walk),
    "walk in one buffer": (partial(looped, Walk, copy=False), Walk),
}


def both(name, seed=7) -> tuple[SB3VecEnv, DummyVecEnv]:
    vector, single = PAIRS[name]
    ours, theirs = SB3VecEnv(vector()), DummyVecEnv([single] * 3)
    for env in (ours, theirs):
        env.seed(seed)
    return ours, theirs


def compared(steps):
    """What must be equal: all but the infos of episodes that go on."""
    return tuple(
        (*step[:3], tuple(info for info, done in zip(step[3], step[2], strict=True) if done))
        for step in steps
    )


def play(env, steps=60):
    rng = np.random.default_rng(0)
    first = dict(env.reset()) if isinstance(env.observation_space, spaces.Dict) else env.reset()
    given = [env.step(rng.integers(env.action_space.n, size=3)) for _ in range(steps)]
    return first, [(dict(s[0]) if isinstance(s[0], dict) else s[0], *s[1:]) for s in given]


@pytest.mark.parametrize("name", PAIRS)
def test_episodes_are_those_of_the_loop_over_single_environments(name):
    ours, theirs = both(name)
    (first, found), (same_first, expected) = play(ours), play(theirs)
    assert_same(first, same_first)
    assert_same(compared(found), compared(expected))
    assert {(step[1].dtype, step[2].dtype) for step in found} == {(np.dtype("f4"), np.dtype(bool))}
    assert sum(step[2].sum() for step in found) >= 9  # ends of episodes
    for row in range(3):
        assert_same(ours.reset_infos[row], theirs.reset_infos[row])


@pytest.mark.parametrize("name", PAIRS)
def test_between_ends_a_row_is_told_little_and_the_rest_is_kept_as_arrays(name):
    ours, theirs = both(name)
    for env in (ours, theirs):
        env.reset()
    for action in np.random.default_rng(1).integers(2, size=(30, 3)):
        _, _, dones, found = ours.step(action)
        *_, expected = theirs.step(action)
        kept = split(ours.infos, np.arange(3), 3)
        for row in np.flatnonzero(~dones):
            assert_same(found[row], {"TimeLimit.truncated": False})
            every = kept[row] | found[row]
            assert_same({key: every[key] for key in expected[row]}, expected[row])
            assert every.keys() == expected[row].keys()


@pytest.mark.parametrize("ends", [(False, False), (False, True), (True, False), (True, True)])
def test_a_time_limit_counts_only_where_nothing_else_ended_the_episode(ends):
    env = SB3VecEnv(looped(partial(Walk, ends=ends), 2))
    env.reset()
    _, _, dones, infos = env.step(np.zeros(2, int))
    assert dones.tolist() == [any(ends)] * 2
    assert [info["TimeLimit.truncated"] for info in infos] == [ends == (False, True)] * 2


def test_steps_hand_out_arrays_and_dictionaries_of_their_own():
    for name in PAIRS:
        (ours, _), (other, _) = both(name), both(name)
        assert isinstance(ours, VecEnv)
        expected, actions = play(other)[1], other.action_space.n  # type: ignore[attr-defined]
        rng = np.random.default_rng(0)
        ours.reset()
        for step in expected:
            observed, rewards, dones, infos = ours.step(rng.integers(actions, size=3))
            assert_same(compared([(observed, rewards, dones, infos)]), compared([step]))
            for array in (rewards, dones, *_arrays(observed)):
                array[:] = 1
            for info in infos:
                info["mine"] = 1


def _arrays(observed):
    return list(observed.values()) if isinstance(observed, dict) else [observed]


SETTINGS: dict[type, dict[str, Any]] = {
    PPO: {"n_steps": 16, "batch_size": 24, "n_epochs": 2},
    DQN: {"learning_starts": 30, "train_freq": 2, "batch_size": 16},
}


@pytest.mark.parametrize("name", ["bandit", "cartpole"])
@pytest.mark.parametrize("algorithm", SETTINGS)
def test_an_algorithm_learns_exactly_what_it_learns_from_the_loop(algorithm, name):
    learnt = []
    for env in both(name):
        model = algorithm("MlpPolicy", VecMonitor(env), seed=3, device="cpu", **SETTINGS[algorithm])
        start = {key: value.clone() for key, value in model.policy.state_dict().items()}
        model.learn(total_timesteps=180)
        learnt.append(model.policy.state_dict())
        assert all(torch.isfinite(value).all() for value in learnt[-1].values())
        assert any(not torch.equal(value, start[key]) for key, value in learnt[-1].items())
    for key, value in learnt[0].items():
        assert torch.equal(value, learnt[1][key])


def test_ppo_ends_episodes_with_higher_scores_after_training():
    bandit = bandits(16, steps=30, arms=3, oracle=[0.9, 0.05, 0.05], max_p=(1.0, 1.0))
    env = VecMonitor(SB3VecEnv(bandit), info_keywords=("mean_score",))
    settings: dict[str, Any] = {"n_steps": 30, "batch_size": 120, "stats_window_size": 16}
    model = PPO("MlpPolicy", env, seed=0, device="cpu", learning_rate=1e-2, **settings)
    scores = []
    for _ in range(8):
        model.learn(total_timesteps=16 * 30, reset_num_timesteps=False)
        assert model.ep_info_buffer is not None
        assert len(model.ep_info_buffer) == 16
        scores.append(np.mean([each["mean_score"] for each in model.ep_info_buffer]))
    assert scores[-1] > scores[0] + 0.1  # uniform choice ends near 0.8, the best near 1


@pytest.mark.parametrize("name", ["bandit", "cartpole"])
def test_wrappers_on_top_see_what_they_see_on_top_of_the_loop(name):
    keywords = ("mean_score",) if name == "bandit" else ()
    found, expected = (
        play(VecNormalize(VecMonitor(env, info_keywords=keywords)))[1] for env in both(name)
    )
    for step in [*found, *expected]:
        for info in step[3]:
            info.get("episode", {}).pop("t", None)  # seconds
    assert_same(compared(found), compared(expected))


def test_gymnasiums_own_statistics_are_those_of_the_monitor():
    env = RecordEpisodeStatistics(PAIRS["cartpole"][0]())
    ours, theirs = SB3VecEnv(env), VecMonitor(both("cartpole")[1])
    ours.seed(7)
    (_, found), (_, expected) = play(ours), play(theirs)
    for one, two in zip(found, expected, strict=True):
        for info, other in zip(one[3], two[3], strict=True):
            assert ("episode" in info) == ("episode" in other)
            if "episode" in info:
                assert info["episode"]["r"] == other["episode"]["r"]
                assert info["episode"]["l"] == other["episode"]["l"]
    assert all("episode" not in info for info in ours.reset_infos)


def test_a_mode_that_resets_at_another_time_is_refused():
    for env in (
        gym.make_vec("MTL-Bandit-v0", num_envs=2),
        gym.make_vec("MTL-Bandit-v0", num_envs=2, autoreset_mode=AutoresetMode.DISABLED),
        gym.make_vec("CartPole-v1", num_envs=2),  # its own vector form knows no other
    ):
        wanted = r"autoreset_mode=gymnasium\.vector\.AutoresetMode\.SAME_STEP"
        with pytest.raises(ValueError, match=rf"`env` must be.*{wanted}.*vector_kwargs"):
            SB3VecEnv(env)


def test_a_seed_counts_from_the_next_reset_and_once():
    ours, other = SB3VecEnv(bandits(steps=5)), bandits(steps=5)
    assert ours.seed(5) == [5, 6, 7]
    np.testing.assert_array_equal(ours.reset(), other.reset(seed=5)[0])
    np.testing.assert_array_equal(ours.get_attr("oracle"), other.unwrapped.oracle)
    ours.seed(6)
    np.testing.assert_array_equal(ours.get_attr("oracle"), other.unwrapped.oracle)
    ours.reset()
    assert ours.env.np_random_seed == (6, 7, 8)
    carts = SB3VecEnv(looped(CARTPOLE))
    carts.seed(5)
    assert not np.array_equal(carts.reset(), carts.reset())
    with pytest.raises(ValueError, match="`seed` must be an integer of at least 0, not -1"):
        ours.seed(-1)


def test_no_seed_is_fresh_entropy_and_leaves_numpys_global_generator_alone():
    env = SB3VecEnv(bandits())
    before = repr(np.random.get_state())  # noqa: NPY002  # it is what must not be used
    assert env.seed() != env.seed()
    assert repr(np.random.get_state()) == before  # noqa: NPY002


def test_options_reach_the_next_reset_of_all_rows():
    env = SB3VecEnv(looped(Walk))
    env.set_options({"from": "afar"})
    for expected in ("afar", "home"):
        env.reset()
        assert [info["from"] for info in env.reset_infos] == [expected] * 3
    with pytest.raises(ValueError, match="`options` must be one dictionary for all rows"):
        env.set_options([{"from": "afar"}, {}, {}])


def test_attributes_are_the_vector_environments_by_row_where_they_are_arrays_of_rows():
    env = SB3VecEnv(ClipReward(bandits(steps=5), 0, 1))
    assert not env.has_attr("oracle")  # before the first reset
    env.reset()
    oracle = env.env.unwrapped.oracle
    for row, found in enumerate(env.get_attr("oracle")):
        np.testing.assert_array_equal(found, oracle[row])
    np.testing.assert_array_equal(env.get_attr("oracle", [2, 0]), oracle[[2, 0]])
    np.testing.assert_array_equal(env.get_attr("max_p", -1), env.env.unwrapped.max_p[[-1]])
    assert env.get_attr("budget") == [5, 5, 5]
    assert env.get_attr("tasks", range(2)) == [env.env.unwrapped.tasks] * 2
    assert env.get_attr("budget", []) == []
    with pytest.raises(IndexError):
        env.get_attr("budget", 3)
    with pytest.raises(AttributeError, match=r"BanditVectorEnv.*has no attribute 'oracles'"):
        env.get_attr("oracles")


def test_attributes_and_methods_are_set_and_called_for_all_rows_or_not_at_all():
    env = SB3VecEnv(ClipReward(bandits(steps=5), 0, 1))
    env.set_attr("budget", 4)
    assert env.env.unwrapped.budget == 4
    env.reset()
    assert len(env.env_method("reset", seed=2, indices=range(3))) == 3
    assert env.env.unwrapped.np_random_seed == (2, 3, 4)
    for call in (partial(env.set_attr, "budget", 3), partial(env.env_method, "reset")):
        with pytest.raises(NotImplementedError, match=r"all 3 rows.*`indices` must be None"):
            call(indices=[0])
    assert env.env.unwrapped.budget == 4
    for attempt in (partial(env.set_attr, "budgets", 3), partial(env.env_method, "restart")):
        with pytest.raises(AttributeError, match="has no attribute"):
            attempt()


def test_wrappers_of_the_vector_environment_are_found():
    env = SB3VecEnv(RecordEpisodeStatistics(ClipReward(bandits(), 0, 1)))
    assert env.env_is_wrapped(ClipReward) == [True] * 3
    assert env.env_is_wrapped(RecordEpisodeStatistics, 1) == [True]
    assert env.env_is_wrapped(Monitor) == [False] * 3
    assert env.env_is_wrapped(type(env.env.unwrapped)) == [False] * 3


def test_what_is_rendered_is_what_the_vector_environment_renders():
    silent = SB3VecEnv(bandits())
    assert silent.render_mode is None
    assert silent.metadata == {"render_modes": []}
    assert silent.get_images() == [None] * 3
    env = VecMonitor(SB3VecEnv(looped(partial(Walk, render_mode="rgb_array"), 4)))
    env.reset()
    assert env.render_mode == "rgb_array"
    np.testing.assert_array_equal(env.render(), np.full((8, 12, 3), 7))


def test_closing_twice_closes_once():
    class Counting(VectorEnv):
        metadata = {"autoreset_mode": SAME_STEP}  # noqa: RUF012
        num_envs, closings = 2, 0
        single_observation_space, single_action_space = spaces.Discrete(2), spaces.Discrete(2)

        def close(self, **kwargs):
            self.closings += 1

    inner = Counting()
    env = SB3VecEnv(inner)
    env.close()
    env.close()
    assert inner.closings == 1


def test_infos_are_split_by_row_with_masks_and_without():
    infos = {
        "plain": np.array([[1, 2], [3, 4], [5, 6]]),
        "word": np.array(["a", None, "c"], object),
        "_word": np.array([True, False, True]),
        "deep": {"r": np.array([1.5, 2.5, 3.5]), "_r": np.array([False, True, True])},
        "_deep": np.array([True, True, False]),
        "_own": np.array([7, 8, 9]),  # no mask, as there is no "own"
    }
    found = split(infos, np.array([2, 0]), 3)
    assert_same(found[0], {"plain": np.array([5, 6]), "word": "c", "_own": 9})
    assert_same(found[1], {"plain": np.array([1, 2]), "word": "a", "deep": {}, "_own": 7})
