"""What a bandit takes and refuses, saves and draws."""

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from mtlgym.cli.main import main
from mtlgym.envs.bandit.env import BanditEnv
from tests.envs.bandit.pulls import random_actions, run, same

BAD = [
    ({"arms": 0}, "`arms`.*at least 1.*0"),
    ({"steps": 0}, "`steps`.*at least 1.*0"),
    ({"steps": 2**60}, "`steps` must be at most"),
    ({"alpha": 0.0}, "`alpha`.*above 0.*0.0"),
    ({"alpha": float("nan")}, "`alpha`.*nan"),
    ({"alpha": 1e9}, "`alpha` must be at most"),
    ({"oracle": [0.5, 0.5]}, "`oracle` must be 8 numbers.*`arms`.*0.5"),
    ({"oracle": [[0.5, 0.5]] * 2, "arms": 2}, "`oracle` must be one row"),
    ({"oracle": [0.5, 0.6], "arms": 2}, "`oracle`.*sum to 1.*0.6"),
    ({"oracle": [1.0, 0.0], "arms": 2}, "`oracle` must be positive"),
    ({"oracle": [0.5, float("inf")], "arms": 2}, "`oracle` must be positive"),
    ({"oracle": "uniform"}, "`oracle`.*'uniform'"),
    ({"max_p": (0.0, 1.0)}, "`max_p`.*0 < low <= high <= 1.*0.0"),
    ({"max_p": (0.9, 0.5)}, "`max_p`.*low <= high"),
    ({"max_p": (0.5, 1.5)}, "`max_p`.*<= 1.*1.5"),
    ({"max_p": (0.5,)}, "`max_p` must be two numbers"),
    ({"forget": (-0.1, 0.1)}, "`forget`.*0 <= low.*-0.1"),
    ({"forget": (0.0, float("inf"))}, "`forget`.*finite.*inf"),
    ({"forget": (0.2, 0.1)}, "`forget`.*low <= high"),
    ({"reward": "gain"}, "unknown reward 'gain'.*prediction_gain"),
    ({"render_mode": "human"}, "`render_mode`.*'human'"),
    ({"arm": 4}, "unknown option 'arm'. Did you mean 'arms'"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_an_option_that_is_not_allowed_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        BanditEnv(**options)


@pytest.mark.parametrize("options", [{"alpha": 1e-300}, {"alpha": 1e6}, {"forget": (1e300, 1e308)}])
def test_extreme_options_stay_finite(options):
    env = BanditEnv(steps=20, **options)
    observation, _ = env.reset(seed=0)
    assert (env.oracle > 0).all()
    assert np.isfinite(env.learning_increment).all()
    for action in random_actions(env, 20):
        observation, reward, *_, info = env.step(action)
        assert observation in env.observation_space
        assert np.isfinite([reward, *info["score"]]).all()


@pytest.mark.parametrize("action", [-1, 8, True, 1.0, None, "1", np.array([1]), np.array(1.0)])
def test_an_action_that_is_not_allowed_changes_nothing(action):
    env, other = BanditEnv(), BanditEnv()
    for each in (env, other):
        each.reset(seed=0)
        run(each, [3, 1])
    with pytest.raises(ValueError, match="`action` must be an integer in \\[0, 8\\)"):
        env.step(action)
    assert same(env.step(3), other.step(3))


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint8, np.array])
def test_integers_of_numpy_are_actions(kind):
    env, other = BanditEnv(), BanditEnv()
    env.reset(seed=0)
    other.reset(seed=0)
    assert same(env.step(kind(2)), other.step(2))


def test_no_step_before_reset_or_after_the_end():
    env = BanditEnv(steps=1)
    for method in (lambda: env.step(0), env.state_dict):
        with pytest.raises(gym.error.ResetNeeded):
            method()
    env.reset()
    assert env.step(0)[3]
    with pytest.raises(gym.error.ResetNeeded):
        env.step(0)


def test_what_is_handed_out_is_never_changed_later():
    env = BanditEnv()
    out = [env.reset(seed=0), *run(env, [0, 1])]
    before = [(step[0].copy(), step[-1]["score"].copy()) for step in out]
    oracle, drawn = env.oracle, env.oracle.copy()
    out[0][-1]["oracle"][:] = 0
    out[1][-1]["score"][:] = 1
    with pytest.raises(ValueError, match="read-only"):
        env.oracle[0] = 1
    env.step(0)
    env.reset(seed=1)
    np.testing.assert_array_equal(oracle, drawn)
    for step, (observation, score) in zip(out[2:], before[2:], strict=True):
        np.testing.assert_array_equal(step[0], observation)
        np.testing.assert_array_equal(step[-1]["score"], score)


def test_a_saved_bandit_goes_on_as_if_it_had_never_stopped(tmp_path):
    env = BanditEnv(steps=50, render_mode="ansi")
    env.reset(seed=2)
    last = run(env, random_actions(env, 20))[-1]
    env.save(tmp_path / "bandit")
    state = env.state_dict()
    rest = [*run(env, random_actions(env, 30, seed=1)), env.reset(), env.reset(seed=9)]
    rows = env.render()
    for load in (
        lambda each: each.load_state_dict(state),
        lambda each: each.load(tmp_path / "bandit"),
    ):
        copy = BanditEnv(steps=50, render_mode="ansi")
        observation, info = load(copy)
        assert same((observation, info), (last[0], last[-1]))
        assert copy.np_random.bit_generator.state == state["state"]["random"]
        found = [*run(copy, random_actions(copy, 30, seed=1)), copy.reset(), copy.reset(seed=9)]
        assert all(map(same, found, rest))
        assert copy.render() == rows


def test_a_state_of_another_bandit_is_refused_and_changes_nothing(tmp_path):
    env = BanditEnv(steps=50)
    first = env.reset(seed=2)
    other = BanditEnv(steps=60, oracle=np.full(8, 0.125))
    other.reset(seed=2)
    with pytest.raises(ValueError, match=r"oracle: .* there, None here; steps: 60 there, 50 here"):
        env.load_state_dict(other.state_dict())
    broken = env.state_dict()
    del broken["state"]["scores"]["seen"]
    with pytest.raises(KeyError):
        env.load_state_dict(broken)
    assert same(env.reset(), first)


def test_an_episode_is_drawn_as_curves_and_as_a_table():
    picture, text = (BanditEnv(arms=3, render_mode=mode) for mode in ("rgb_array", "ansi"))
    for env in (picture, text):
        with pytest.raises(gym.error.ResetNeeded):
            env.render()
        env.reset(seed=0)
    blank = np.array(picture.render())
    for env in (picture, text):
        run(env, [0, 0, 2, 0])
    frame = np.array(picture.render())
    assert frame.dtype == np.uint8
    assert frame.shape == (240, 320, 3)
    assert not np.array_equal(frame, blank)
    rows = text.render()
    assert [f"arm{k}" in rows for k in range(4)] == [True, True, True, False]
    assert "75.0%" in rows
    assert f"{text.oracle[1]:.1%}" in rows
    assert BanditEnv().render() is None


@pytest.mark.parametrize("options", [{}, {"arms": 1}, {"arms": 12, "reward": "improvement"}])
def test_both_checkers_pass(options):
    env = BanditEnv(steps=30, **options)
    check_env(env, skip_render_check=True)
    check_env_sb3(env)
    env.close()
    env.close()


def test_making_and_stepping_a_bandit_imports_no_torch():
    code = (
        "import gymnasium, mtlgym, sys;"
        "env = gymnasium.make('MTL-Bandit-v0'); env.reset(seed=0); env.step(0);"
        "print([m for m in ('torch', 'matplotlib', 'transformers') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def test_the_command_line_checks_the_bandit(capsys):
    assert main(["check", "--env", "MTL-Bandit-v0", "--set", "arms=3", "steps=9"]) == 0
    assert capsys.readouterr().out.count("passed") == 4
