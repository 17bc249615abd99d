"""Options of any kind: an environment that can be used, or a ValueError that names an option."""

import dataclasses
import json
import re
import subprocess
import sys
import traceback
import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtlgym import agents
from mtlgym.agents import AGENTS
from mtlgym.balancing.gradients import GRADIENT_METHODS
from mtlgym.balancing.losses import LOSS_METHODS
from mtlgym.balancing.method import parse
from mtlgym.envs.bandit import arms
from mtlgym.envs.routing import options as routing_options
from mtlgym.envs.training import options
from mtlgym.presets.environments import presets
from mtlgym.problems import builder_options, image_options
from tests import ROOT, module_command
from tests.envs.hostile import Evil, few, smallest, sound
from tests.envs.test_ids import IDS, ROUTING, TRAINING

# What an option is called in messages where it is not by its own name.
CALLED = {"observation": ["feature"], "aggregator": ["method"], "tasks": ["task"]}
LEFT_OUT = ("compile", "data", "device")  # they take seconds, or are of the machine
SCALARS = st.one_of(
    st.sampled_from([None, True, False, 0, 1, 2, 3, 7, 64, -1, 0.5, 1.0, 2.5, -0.5, 0.1, 1e-3]),
    st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e-300, 1j, 2**70, -(2**70)]),
    st.sampled_from(["", "x", "auto", "none", "log", "adam", "plateau", "linear", "vmtl", "stl"]),
    st.sampled_from(["weights", "tasks", "heads_loop", "mgda", "nash:x=1", "mean", b"x", Evil()]),
    st.text(max_size=4),
)
VALUES = st.one_of(
    SCALARS,
    SCALARS,
    st.lists(SCALARS, max_size=3) | st.tuples(SCALARS) | st.dictionaries(st.text(), SCALARS),
    st.sampled_from([["losses"], ["lr", "losses", "lr"], [1, 2], [0.2, 0.4], ["mu"], [8, 4, 4]]),
    st.sampled_from([np.int64(2), np.float32(0.5), {1, 2}, range(3), lambda before, after: 0.0]),
)


def known_options(id):
    """The names of all options of an id."""
    problem = presets()[id].options.get("problem", "")
    if id in TRAINING:
        return [*options.KNOWN, *builder_options(problem), "baseline"]
    if id in ROUTING:
        return [*routing_options.KNOWN, *image_options(problem)]
    return [field.name for field in dataclasses.fields(arms.BanditOptions)]


def chosen(id):
    """Some options with values of any kind, now and then one that there is not."""
    names = [name for name in known_options(id) if name not in LEFT_OUT]
    unknown = st.sampled_from(["epoch", "x", "losses_", "Lr", "problem_", "__class__"])
    name = st.sampled_from(names) | st.sampled_from(names) | st.sampled_from(names) | unknown
    return st.dictionaries(name, VALUES, min_size=1, max_size=3)


def is_named(id, given, text):
    """Whether a message names an option: a given one, or one that does not go with it."""
    names = {*known_options(id), *given, *(word for name in given for word in CALLED.get(name, ()))}
    return any(re.search(rf"\b{re.escape(name)}\b", text) for name in names)


def attempt(id, given):
    """Make and use the environment; whether that was refused, in words."""
    try:
        env = gym.make(id, **{**smallest(id), **given}).unwrapped
        observation, _ = env.reset(seed=0)
    except (ValueError, OSError) as error:
        assert is_named(id, given, str(error)), error
        assert isinstance(error, ValueError) or "encoder" in given  # whose folder is not there
        return str(error)
    assert sound(observation, env.observation_space)
    env.action_space.seed(0)
    observation, reward, *_ = env.step(env.action_space.sample())
    assert sound(observation, env.observation_space)
    assert np.isfinite(float(reward))
    env.close()
    return ""


def complaint(id):
    """What the first refused or broken example says that should not have been; empty if none."""

    @few(5)
    @given(chosen(id))
    def run(given):
        attempt(id, given)

    try:
        run()
    except Exception as error:
        return "".join(traceback.format_exception(error, limit=-3))
    return ""


@pytest.fixture(scope="module")
def complaints():
    """By id, from a process in which no annotation is checked, as where mtlgym is used."""
    command = module_command(__name__)
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout.splitlines()[-1])


@pytest.mark.parametrize("id", IDS)
def test_options_of_any_kind_make_an_environment_or_are_refused_by_name(complaints, id):
    assert complaints[id] == ""


SPECS = [*AGENTS, *LOSS_METHODS, *GRADIENT_METHODS, "si", "torchjd", "torchjd:UPGrad"]
SETTINGS = st.sampled_from(
    ["temperature", "c", "window", "weights", "learning_rate", "buffer_size", "seed", "x", "method"]
)
WORDS = "1 -1 0 0.5 1e400 NaN [1,2] [ x {} null true [[]] 1e-3 Infinity [1,2,3] [-1] equal nash"
SAID = st.sampled_from([*WORDS.split(), "", '"x"', "[1, 2]", "9" * 400])


@st.composite
def specs(draw):
    """Texts that are, nearly are or are not at all the names of agents and methods."""
    parts = draw(st.lists(st.sampled_from(SPECS) | st.text(max_size=4), min_size=1, max_size=3))
    told = []
    for part in parts:
        pairs = draw(st.lists(st.tuples(SETTINGS, SAID), max_size=2))
        said = ",".join(f"{key}={value}" for key, value in pairs)
        told.append(f"{part}:{said}" if said else part)
    text = "+".join(told)
    at = draw(st.integers(0, len(text)))
    between = draw(st.sampled_from(["", "", "", ":", "+", "=", ",", "\x00", "é"]))
    return text[:at] + between + text[at:]


OBSERVATIONS = gym.spaces.Box(0, 1, (3,), np.float32)
SPACES = [gym.spaces.Box(0, np.inf, (3,), np.float32), gym.spaces.Discrete(3)]


@few(80)
@given(specs(), st.sampled_from(SPACES))
def test_texts_that_name_agents_are_understood_or_refused_with_a_value_error(text, space):
    try:
        agents.environment_options(text)
        agents.make(text, OBSERVATIONS, space, seed=0)
    except ValueError as error:
        assert str(error)


@few(80)
@given(specs())
def test_texts_that_name_methods_are_understood_or_refused_with_a_value_error(text):
    try:
        method, gradient = parse(text)
    except ValueError as error:
        assert str(error)
    else:
        assert method is not None or gradient is not None


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", UserWarning)
    print(json.dumps({id: complaint(id) for id in sys.argv[1:] or IDS}))
