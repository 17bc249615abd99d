"""What both forms of routing do with states, copies, failures and policies that make no sense."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
import torch

from mtlgym.envs.routing import RoutingEnv, RoutingVectorEnv
from tests.envs.routing.toy_images import SMALL, problem

ROWS, DEPTH, TASKS = 4, 3, 3
FORMS = ["single", "NextStep", "SameStep", "Disabled"]


def make(form, images=None, **options):
    images, options = images or problem(), {**SMALL, **options}
    if form == "single":
        return RoutingEnv(images, batch_size=ROWS, **options)
    return RoutingVectorEnv(images, ROWS, autoreset_mode=form, **options)


def play(env, count, seed=0):
    """What happens in so many calls of reset and step, by actions that the seed draws."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(count):
        rows = rng.integers(0, TASKS, ROWS)
        single = isinstance(env, RoutingEnv)
        try:
            found.append(env.step(int(rows[0]) if single else rows))
        except gym.error.ResetNeeded:
            found.append(env.reset())
    return found


def same(one, other):
    """Whether two nested states are bit-identical; NaN equals NaN."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray) and one.dtype == object:
        return same(one.tolist(), other.tolist())
    if isinstance(one, np.ndarray | torch.Tensor):
        return np.array_equal(np.asarray(one), np.asarray(other), equal_nan=one.ndim > 0)
    return one == other


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("options", "calls"),
    [
        ({"rho": 0.4, "optimizer": "adam", "history": "shared", "history_length": 3}, 6),
        ({"lr": 1e30, "reward": "negative_loss"}, 3),  # breaks in the second minibatch
        ({"scheduler": "linear", "epochs": 1, "optimizer": "adamw", "weight_decay": 0.1}, 3),
    ],
)
def test_loaded_runs_and_copies_go_on_bit_for_bit(tmp_path, form, options, calls):
    env = make(form, **options)
    env.reset(seed=0)
    play(env, calls)
    env.save(tmp_path / "run")
    figures = env.evaluate()
    loaded, used = make(form, **options), make(form, **options)
    used.reset(seed=5)
    play(used, 2, seed=9)
    loaded.load(tmp_path / "run")
    used.load(tmp_path / "run")
    others = [loaded, used, copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
    assert all(other.evaluate() == figures for other in others)
    expected = play(env, 30, seed=1)
    for other in others:
        assert same(play(other, 30, seed=1), expected)
        assert same(other.state_dict(), env.state_dict())
    if "lr" in options and form != "single":
        assert env.router.failure


def test_the_learning_rate_falls_after_loading_as_it_would_have():
    def images():
        return problem(sizes={"train": 6, "val": 6, "test": 6})

    def made():
        return RoutingVectorEnv(images(), 6, autoreset_mode="SameStep", **SMALL)

    env = made()
    env.reset(seed=0)
    rates = []
    for _ in range(22):  # minibatches, each of which is an epoch
        for _ in range(DEPTH):
            info = env.step(np.zeros(6, int))[4]
        rates.append(info["lr"])
        other = made()
        other.load_state_dict(env.state_dict())
        env = other
    assert rates == pytest.approx([1e-2] * 19 + [1e-3] * 3)


def entries(state, path=()):
    """The paths to all entries of nested dicts, but for what torch makes of its own."""
    for key, value in state.items():
        yield (*path, key)
        if isinstance(value, dict) and key not in ("optimizer", "scheduler", "observation"):
            yield from entries(value, (*path, key))


@pytest.mark.parametrize("form", ["single", "SameStep"])
def test_a_state_that_lacks_something_is_refused_and_changes_nothing(form):
    env, other = make(form, rho=0.3), make(form, rho=0.3)
    env.reset(seed=0)
    other.reset(seed=1)
    play(env, 5)
    play(other, 2)
    state, before = env.state_dict(), other.state_dict()
    for *path, last in entries(state["state"]):
        broken = copy.deepcopy(state)
        inner = broken["state"]
        for key in path:
            inner = inner[key]
        del inner[last]
        with pytest.raises(ValueError, match="cannot be continued"):
            other.load_state_dict(broken)
    assert same(other.state_dict(), before)
    assert len(play(other, 4)) == 4


def test_a_damaged_file_is_refused_and_changes_nothing(tmp_path):
    env, other = make("single"), make("single")
    env.reset(seed=0)
    env.save(tmp_path / "run")
    other.reset(seed=1)
    before, whole = other.state_dict(), (tmp_path / "run").read_bytes()
    for place in range(0, len(whole), 977):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        (tmp_path / "run").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"not a checkpoint|is damaged"):
            other.load(tmp_path / "run")
    assert same(other.state_dict(), before)


@pytest.mark.parametrize("form", ["single", "SameStep"])
@pytest.mark.parametrize(
    "answer",
    [
        None,
        0,
        np.zeros(3, int),
        np.zeros((48, 1), int),
        np.zeros(48),
        np.zeros(48, bool),
        np.full(48, TASKS),
        np.full(48, -1),
        np.full(48, 2**63, np.uint64),
        [[0], [0, 1]],
        "a" * 48,
    ],
)
def test_a_policy_that_answers_no_blocks_is_refused_and_changes_nothing(form, answer):
    env = make(form)
    env.reset(seed=0)
    before = env.state_dict()
    with pytest.raises(ValueError, match="`action"):
        env.evaluate("val", lambda observation, info: answer)
    assert same(env.state_dict(), before) and env.router.trainer.model.training


def test_a_policy_may_write_into_what_it_sees():
    def careless(observation, info):
        action = observation["task"].copy()
        for each in observation.values():
            each[...] = 0
        return action

    env = make("single")
    env.reset(seed=0)
    found = env.evaluate_routes("test", careless)
    assert np.array_equal(found.routes, np.repeat(found.task[:, None], DEPTH, axis=1))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("fused", [False, True])
def test_minibatches_that_fail_move_no_parameter_and_the_schedule_goes_on(optimizer, fused):
    images = problem(sizes={"train": 3 * ROWS, "val": 12, "test": 12})
    env = make("SameStep", images, optimizer=optimizer, fused=fused, scheduler="linear", epochs=9)
    env.reset(seed=0)
    with torch.no_grad():
        env.router.head.layers[0][0][0].bias.fill_(torch.inf)
    before = [p.clone() for p in env.router.trainer.model.parameters()]
    info = {}
    for _ in range(4 * DEPTH):
        *_, info = env.step(np.zeros(ROWS, int))
    assert "is nan" in info["failure"] and info["updates"] == 4
    after = env.router.trainer.model.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert info["lr"] != 1e-2 / 3  # as it was at first


@pytest.mark.parametrize("form", FORMS)
def test_the_budget_is_the_steps_until_the_schedule_ends(form):
    images = problem(sizes={"train": 2 * ROWS + 1, "val": 12, "test": 12})
    env = make(form, images, epochs=2)
    env.reset(seed=0)
    calls = 0
    while env.is_open:
        after = play(env, 1)[0]
        calls += len(after) == 5
    assert calls == env.budget and env.router.trainer.updates == 4


@pytest.mark.parametrize("form", FORMS)
def test_actions_after_close_and_a_second_close_do_no_harm(form):
    env = make(form)
    env.reset(seed=0)
    env.close()
    env.close()
    assert len(play(env, 4)) == 4


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"depth": 10**30}, "`depth` must be at most"),
        ({"blocks": 2**17}, "`blocks` must be at most"),
        ({"pass_action": True, "architecture": "shared"}, "`pass_action` must be False"),
        ({"rho": float("nan")}, "`rho`"),
        ({"autoreset_mode": "next"}, "`autoreset_mode`"),
        ({"balanced": True}, "`batch_size` .* multiple of the tasks, 3"),
        ({"batch_size": np.zeros(2)}, "`batch_size`"),
    ],
)
def test_options_that_make_no_environment_are_refused_when_it_is_made(options, text):
    with pytest.raises(ValueError, match=text):
        RoutingVectorEnv(problem(), ROWS, **{**SMALL, **options})


@pytest.mark.parametrize("name", ["cifar100", "mnist", "mini_imagenet"])
@pytest.mark.parametrize("share", [0.0, 1.0, float("nan")])
def test_a_share_for_validation_is_checked_whatever_the_data_are(name, share):
    with pytest.raises(ValueError, match="`validation`"):
        RoutingEnv(name, data="embedded", validation=share)


def test_a_mask_for_reset_of_unequal_parts_is_refused():
    with pytest.raises(ValueError, match="`reset_mask` must be 4 booleans"):
        make("Disabled").reset(options={"reset_mask": [True, [True]]})
