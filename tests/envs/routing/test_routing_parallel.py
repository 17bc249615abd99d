"""Routing in PettingZoo's parallel form."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from pettingzoo.test import parallel_api_test
from pettingzoo.test.seed_test import parallel_seed_test

from mtlgym.envs.routing import RoutingEnv, RoutingVectorEnv
from mtlgym.envs.routing.pettingzoo import RoutingParallelEnv, parallel
from mtlgym.models.architectures import ARCHITECTURES
from mtlgym.presets.environments import preset
from tests.envs.routing.toy_images import SMALL, problem

DEPTH, TASKS = 3, 3
NAMES = ["task0", "task1", "task2"]


def make(**options):
    return RoutingParallelEnv(problem(), **{**SMALL, **options})


def play(env, chosen):
    """One episode by these actions, (depths, tasks)."""
    return [env.step(dict(zip(NAMES, map(int, row), strict=True))) for row in chosen]


def parameters(env):
    return {k: v.clone() for k, v in env.router.trainer.model.state_dict().items()}


def equal(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if "recursive" not in a])
def test_pettingzoos_own_checks_pass_without_a_warning(architecture):
    parallel_api_test(make(architecture=architecture, rho=0.3), num_cycles=50)
    parallel_seed_test(lambda: make(architecture=architecture, rho=0.3), num_cycles=50)


def test_an_agent_is_a_task_and_routes_a_sample_of_it():
    env = make()
    assert env.possible_agents == NAMES and env.agents == [] and env.max_num_agents == TASKS
    for seed in (0, None, None):
        observations, infos = env.reset(seed=seed)
        assert env.agents == list(observations) == list(infos) == NAMES
        for depth in range(DEPTH):
            for t, agent in enumerate(env.agents):
                assert observations[agent] in env.observation_space(agent)
                assert (observations[agent]["task"], observations[agent]["depth"]) == (t, depth)
            observations, rewards, ended, cut, infos = env.step(dict.fromkeys(NAMES, depth))
            over = depth == DEPTH - 1
            assert ended == dict.fromkeys(NAMES, over) and not any(cut.values())
        assert env.agents == []
        assert [infos[agent]["task"] for agent in NAMES] == [0, 1, 2]
        assert rewards == {agent: 1.0 if infos[agent]["correct"] else -1.0 for agent in NAMES}


@pytest.mark.parametrize("options", [{}, {"rho": 0.4, "reward": "negative_loss"}])
def test_equal_actions_train_the_same_network_as_the_vector_form_with_a_row_a_task(options):
    env = make(**options)
    vector = RoutingVectorEnv(
        problem(), TASKS, balanced=True, autoreset_mode="Disabled", **SMALL, **options
    )
    (mine, _), (theirs, _) = env.reset(seed=4), vector.reset(seed=4)
    for chosen in np.random.default_rng(0).integers(0, TASKS, (4, DEPTH, TASKS)):
        for row in range(TASKS):
            assert np.array_equal(mine[NAMES[row]]["value"], theirs["value"][row])
        for step, action in zip(play(env, chosen), chosen, strict=True):
            found = vector.step(action)
            for row, agent in enumerate(NAMES):
                assert np.array_equal(step[0][agent]["value"], found[0]["value"][row])
                assert step[1][agent] == found[1][row] and step[2][agent] == found[2][row]
                assert step[4][agent]["step"] == found[4]["step"]
        (mine, _), (theirs, _) = env.reset(), vector.reset()
    assert env.vector.router.trainer.updates == 4
    assert equal(parameters(env.vector), parameters(vector))
    assert env.vector.evaluate("test") == vector.evaluate("test")


def test_the_infos_and_rewards_of_an_agent_are_those_of_the_single_environment():
    env, one = (
        make(recursive=True),
        RoutingEnv(problem(), batch_size=TASKS, balanced=True, recursive=True, **SMALL),
    )
    env.reset(seed=1)
    one.reset(seed=1)
    chosen = np.array([[0, 4, 6], [5, 5, 1], [2, 0, 1]])
    for row, steps in enumerate(zip(*[[s] * TASKS for s in play(env, chosen)], strict=True)):
        for depth, step in enumerate(steps):
            _, reward, ended, _, info = one.step(int(chosen[depth, row]))
            mine = step[4][NAMES[row]]
            assert reward == step[1][NAMES[row]] and ended == step[2][NAMES[row]]
            assert set(mine) == set(info)
            assert np.array_equal(mine["action_mask"], info["action_mask"])
            assert {k: type(v) for k, v in mine.items()} == {k: type(v) for k, v in info.items()}
        assert mine["correct"] == info["correct"]
        assert mine["loss"] == pytest.approx(info["loss"], rel=1e-5)
        one.reset()


def test_reset_without_a_seed_keeps_the_network_and_begins_an_unfinished_minibatch_again():
    env = make()
    start, _ = env.reset(seed=0)
    network = parameters(env.vector)
    env.step(dict.fromkeys(NAMES, 1))
    again, _ = env.reset()
    assert all(np.array_equal(start[a]["value"], again[a]["value"]) for a in NAMES)
    assert equal(network, parameters(env.vector))
    play(env, np.zeros((DEPTH, TASKS)))
    after, _ = env.reset()
    assert not any(np.array_equal(start[a]["value"], after[a]["value"]) for a in NAMES)
    env.reset(seed=0)
    assert equal(network, parameters(env.vector))


GOOD = dict.fromkeys(NAMES, 0)


@pytest.mark.parametrize(
    ("actions", "text"),
    [
        ({}, "`actions` must be one of each"),
        ({"task0": 0, "task1": 0}, "`actions` must be one of each"),
        ({**GOOD, "task3": 0}, "task3"),
        *[({**GOOD, "task1": bad}, r"task1.*\[0, 3\)") for bad in (3, -1, 1.0, True, None, "0")],
    ],
)
def test_actions_that_are_not_allowed_are_refused_and_change_nothing(actions, text):
    env = make()
    env.reset(seed=0)
    env.step(GOOD)
    before = env.vector.state_dict()["state"]
    with pytest.raises(ValueError, match=text):
        env.step(actions)
    after = env.vector.state_dict()["state"]
    assert np.array_equal(before["taken"], after["taken"]) and before["depth"] == after["depth"]
    assert env.agents == NAMES and env.step(GOOD)[4]["task0"]["step"] == 2


def test_unknown_agents_and_steps_without_agents_are_refused():
    env = make()
    for space in (env.action_space, env.observation_space):
        with pytest.raises(ValueError, match=r"unknown agent 'task9'.*task0"):
            space("task9")
    with pytest.raises(ResetNeeded):
        env.step(GOOD)
    env.reset(seed=0)
    play(env, np.zeros((DEPTH, TASKS)))
    with pytest.raises(ResetNeeded):
        env.step(GOOD)


@pytest.mark.parametrize(
    "options", [{"render_mode": "ansi"}, {"batch_size": 4}, {"balanced": False}, {"rho": 2.0}]
)
def test_options_that_make_no_parallel_form_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        make(**options)


def test_the_parallel_form_of_an_id_has_its_options_but_for_those_given():
    env = parallel("MTL-Emoji-Routing-v0", width=8, filters=2, tasks=2)
    made = env.vector.router.configuration
    given = preset("MTL-Emoji-Routing-v0").options
    assert (made.trainer_options.epochs, made.trainer_options.lr) == (given["epochs"], given["lr"])
    assert made.options.width == 8
    assert env.possible_agents == list(made.problem.tasks) and made.trainer_options.batch_size == 2
    assert made.problem.source.kind == "embedded"
    with pytest.raises(ValueError, match="MTL-Emoji-Routing-v0"):
        parallel("MTL-Emoji-Rooting-v0")
    with pytest.raises(ValueError, match="unknown id of a routing environment"):
        parallel("MTL-Bandit-v0")


def test_without_pettingzoo_the_error_names_the_extra_and_the_rest_of_routing_works():
    code = """
import sys
sys.modules["pettingzoo"] = None
import mtlgym.envs.routing.env
try:
    import mtlgym.envs.routing.pettingzoo
except ImportError as error:
    assert "mtlgym[pettingzoo]" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)
