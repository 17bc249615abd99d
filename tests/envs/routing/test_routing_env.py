"""One sample's route an episode."""

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3.common.env_checker
import torch
from gymnasium.utils.env_checker import check_env

from mtlgym.datasets.images.image_tasks import ImageData, ImageTasks
from mtlgym.envs.routing import RoutingEnv, RoutingVectorEnv
from mtlgym.models.architectures import ARCHITECTURES
from tests.envs.faults import Fault, image_problem
from tests.envs.routing.toy_images import SMALL, problem, tasks

DEPTH, TASKS, ROWS = 3, 3, 4


def make(**options):
    return RoutingEnv(problem(), **{"batch_size": ROWS, **SMALL, **options})


def routes(seed, count=ROWS, actions=TASKS):
    return np.random.default_rng(seed).integers(0, actions, (count, DEPTH))


def play(env, chosen):
    """The steps of whole episodes by these routes, each after a reset but the first."""
    steps = []
    for number, route in enumerate(chosen):
        if number:
            env.reset()
        steps.append([env.step(int(action)) for action in route])
    return steps


def parameters(env):
    return {k: v.clone() for k, v in env.router.trainer.model.state_dict().items()}


def equal(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


# In the recursive one not every action is possible at every depth, as checkers take for granted.
@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if "recursive" not in a])
@pytest.mark.filterwarnings("ignore:.*does not have a spec.*", "ignore:.*not having a spec.*")
def test_both_checkers_pass_for_every_architecture(architecture):
    env = make(architecture=architecture)
    check_env(env, skip_render_check=True)
    stable_baselines3.common.env_checker.check_env(env)


def test_an_episode_is_one_route_and_ends_with_a_right_or_wrong_class():
    env = make()
    observation, _ = env.reset(seed=0)
    assert observation["depth"] == 0
    (first, second, last), *_ = play(env, routes(0))
    assert [each[0]["depth"] for each in (first, second, last)] == [1, 2, 2]
    assert [each[2] for each in (first, second, last)] == [False, False, True]
    assert not any(each[3] for each in (first, second, last))
    assert first[1] == second[1] == 0.0
    assert last[1] == (1.0 if last[4]["correct"] else -1.0)
    with pytest.raises(gym.error.ResetNeeded):
        env.reset(seed=0)
        play(env, routes(0, 1))
        env.step(0)


def test_the_loss_can_be_the_reward():
    env = make(reward="negative_loss")
    env.reset(seed=0)
    last = play(env, routes(0, 1))[0][-1]
    assert last[1] == -last[4]["loss"] < 0


def test_the_blocks_are_trained_once_a_batch_and_others_stay_as_they_are():
    env = make()
    env.reset(seed=0)
    before = parameters(env)
    chosen = np.array([[0, 1, 2]] * ROWS)
    play(env, chosen[:-1])
    assert equal(before, parameters(env)) and env.router.trainer.updates == 0
    env.reset()
    play(env, chosen[-1:])
    after = parameters(env)
    assert env.router.trainer.updates == 1
    for depth in range(DEPTH):
        for block in range(TASKS):
            moved = [
                not torch.equal(before[name], after[name])
                for name in after
                if name.startswith(f"head.layers.{depth}.{block}.")
            ]
            assert moved and all(each == (chosen[0, depth] == block) for each in moved)


def test_a_gradient_step_equals_that_of_a_plain_loop_over_the_batch():
    env = make(lr=0.1)
    env.reset(seed=0)
    training = env.router.trainer
    samples, model = training.samples, env.router.configuration.build()
    model.load_state_dict(parameters(env))
    model.train()
    # The trunk has looked at the batch already, which moves its running statistics alone.
    chosen = routes(3)
    scores = model(samples.images, samples.task, torch.from_numpy(chosen))
    loss = torch.nn.functional.cross_entropy(scores, samples.label)
    loss.backward()
    play(env, chosen)
    for name, parameter in model.named_parameters():
        gradient = 0.0 if parameter.grad is None else parameter.grad
        expected = parameter.detach() - 0.1 * gradient
        torch.testing.assert_close(parameters(env)[name], expected, rtol=1e-5, atol=1e-6)


def test_the_same_seed_and_actions_give_the_same_trace_bit_for_bit():
    traces = []
    for _ in range(2):
        env = make(rho=0.3)
        env.reset(seed=5)
        traces.append(play(env, routes(1, 3 * ROWS)))
    for one, other in zip(*traces, strict=True):
        for a, b in zip(one, other, strict=True):
            assert np.array_equal(a[0]["value"], b[0]["value"]) and a[1] == b[1]


def test_reset_without_a_seed_keeps_the_network_and_begins_an_unfinished_route_again():
    env = make()
    start, _ = env.reset(seed=0)
    network = parameters(env)
    env.step(1)
    again, _ = env.reset()
    assert np.array_equal(start["value"], again["value"])
    play(env, routes(0, 1))
    after, _ = env.reset()
    assert not np.array_equal(start["value"], after["value"])
    assert equal(network, parameters(env))
    env.reset(seed=1)
    assert not equal(network, parameters(env))
    env.reset(seed=0)
    assert equal(network, parameters(env))


@pytest.mark.parametrize("stop", [(0, 0), (2, 1), (ROWS - 1, 3), (ROWS, 0)])
def test_a_saved_run_goes_on_bit_for_bit(tmp_path, stop):
    episodes, steps = stop
    chosen = routes(2, 3 * ROWS)
    env = make(rho=0.5)
    env.reset(seed=0)
    play(env, chosen[:episodes])
    if episodes:
        env.reset()
    last = [env.step(int(action)) for action in chosen[episodes][:steps]]
    env.save(tmp_path / "run")
    other = make(rho=0.5)
    observation, _ = other.load(tmp_path / "run")
    if last:
        assert np.array_equal(observation["value"], last[-1][0]["value"])
    ends = []
    for each in (env, other):
        trace = [each.step(int(action)) for action in chosen[episodes][steps:]]
        each.reset()
        trace += [step for steps in play(each, chosen[episodes + 1 :]) for step in steps]
        ends.append((trace, parameters(each)))
    assert equal(ends[0][1], ends[1][1])
    for a, b in zip(ends[0][0], ends[1][0], strict=True):
        assert np.array_equal(a[0]["value"], b[0]["value"]) and a[1] == b[1]


def test_a_state_of_other_options_is_refused_and_changes_nothing(tmp_path):
    env, other = make(), make(rho=0.1)
    env.reset(seed=0)
    other.reset(seed=1)
    before = parameters(other)
    with pytest.raises(ValueError, match="rho"):
        other.load_state_dict(env.state_dict())
    assert equal(before, parameters(other))


def test_pass_everywhere_is_the_features_and_the_classifier():
    env = make(pass_action=True)
    start, info = env.reset(seed=0)
    assert info["action_mask"].tolist() == [1, 1, 1, 1]
    for _ in range(2):
        after, *_, info = env.step(TASKS)
        assert np.array_equal(start["value"], after["value"])
    assert info["action_mask"].tolist() == [1, 1, 1, 0]
    last, *_ = env.step(1)
    head: Any = env.router.head
    block = head.layers[-1][1]
    with torch.no_grad():
        scores = block(torch.from_numpy(start["value"][: SMALL["width"]]))
    np.testing.assert_allclose(last["value"][:2], scores.numpy(), rtol=1e-6)


def test_a_recursive_route_may_use_a_block_again_but_no_hidden_one_to_classify():
    env = make(recursive=True)
    assert env.action_space == gym.spaces.Discrete(2 * TASKS + 1)
    env.reset(seed=0)
    env.step(5)
    env.step(5)
    before = env.state_dict()["state"]["taken"]
    with pytest.raises(ValueError, match=r"depth 2.*\[0, 1, 2\], not 5"):
        env.step(5)
    assert np.array_equal(before, env.state_dict()["state"]["taken"])
    assert env.step(2)[2]


NO_DATA = torch.zeros((), dtype=torch.int64, device="meta")


@pytest.mark.parametrize("action", [-1, TASKS, 1.0, True, None, "0", [[0], [0, 1]], NO_DATA])
def test_an_action_that_is_no_block_is_refused_and_changes_nothing(action):
    env = make()
    env.reset(seed=0)
    env.step(0)
    before = env.state_dict()["state"]
    with pytest.raises(ValueError, match="`action`"):
        env.step(action)
    after = env.state_dict()["state"]
    assert np.array_equal(before["taken"], after["taken"]) and before["depth"] == after["depth"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"architecture": "routing-all-cf"}, "routing-all-fc"),
        ({"rho": 1.5}, "`rho`"),
        ({"depth": 0}, "`depth`"),
        ({"reward": "accuracy"}, "correct"),
        ({"batch_size": 241}, "240"),
        ({"pass_action": True, "width": 5}, "`width`"),
        ({"recursive": True, "architecture": "shared"}, "`recursive`"),
        ({"blocks": 0}, "`blocks`"),
        ({"scheduler": "plateau"}, "scheduler"),
        ({"learning_rate": 1e-3}, "learning_rate"),
        ({"render_mode": "human"}, "`render_mode`"),
        ({"lr": 1e300}, "`lr` must be at most"),
        ({"weight_decay": 1e300}, "`weight_decay` must be at most"),
        ({"epochs": 10**400, "scheduler": "linear"}, "`epochs` must be at most"),
    ],
)
def test_options_that_make_no_environment_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        make(**options)


def test_a_batch_with_an_unknown_task_is_refused():
    data = tasks()
    wrong = data.splits["train"]
    task = wrong.task.copy()
    task[7] = TASKS
    bad = ImageTasks(wrong.images, wrong.index, task, wrong.label)
    with pytest.raises(ValueError, match=rf"`task` of train must lie in \[0, {TASKS}\), not be 3"):
        ImageData(data.tasks, data.classes, {**data.splits, "train": bad})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"images": np.zeros((240, 16, 16, 1), np.uint8)},
            r"`images` of val must be \(16, 16, 1\)",
        ),
        ({"task": np.zeros(240)}, r"`task` of train must be integers \(samples,\), not float64"),
        ({"label": np.zeros(240, bool)}, "`label` of train must be integers .*, not bool"),
        ({"index": np.zeros((240, 1), int)}, r"`index` of train must be integers .* \(240, 1\)"),
    ],
)
def test_samples_of_other_kinds_are_refused(changes, text):
    data = tasks()
    train = data.splits["train"]
    bad = copy.copy(train)
    vars(bad).update(changes)
    with pytest.raises(ValueError, match=text):
        ImageData(data.tasks, data.classes, {**data.splits, "train": bad})


def test_tasks_of_one_name_are_refused():
    data = tasks()
    with pytest.raises(ValueError, match="`tasks` must have each name once"):
        ImageData(("a", "b", "a"), data.classes, data.splits)


def test_a_task_of_fewer_classes_never_gets_another_tasks_class():
    data = tasks(flipped=(False, False), classes=3)
    kept = {}
    for name, split in data.splits.items():
        few = (split.task == 1) & (split.label == 2)
        kept[name] = ImageTasks(
            split.images, split.index[~few], split.task[~few], split.label[~few]
        )
    narrow = ImageData(data.tasks, (data.classes[0], data.classes[1][:2]), kept)
    made = problem()
    env = RoutingEnv(type(made)("toy", narrow, made.source), batch_size=ROWS, **SMALL)
    env.reset(seed=0)
    with torch.no_grad():  # every block is sure of the class that task 1 does not have
        head: Any = env.router.head
        for block in head.layers[-1]:
            block.bias.copy_(torch.tensor([0.0, 0.0, 100.0]))
    found = env.evaluate_routes("test")
    assert found.losses[found.task == 1].max() < 10
    assert 0.2 < found.correct[found.task == 1].mean() < 0.8


def test_a_broken_network_ends_in_finite_rewards_and_names_the_tasks():
    env = make(lr=1e30, reward="negative_loss")
    env.reset(seed=0)
    for _ in range(3):
        for steps in play(env, routes(0)):
            for observation, reward, *_ in steps:
                assert np.isfinite(reward) and observation in env.observation_space
        env.reset()
    info = env.step(0)[-1]
    assert "task" in info["failure"] and not env.is_open
    assert all(torch.isfinite(p).all() for p in env.router.trainer.model.parameters())


def buffers(env):
    return {name: b.clone() for name, b in env.router.trainer.model.named_buffers()}


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize("form", [RoutingEnv, RoutingVectorEnv])
def test_what_a_failed_minibatch_did_to_running_statistics_is_undone(form, saved):
    def made(fault):
        size = {"batch_size": ROWS} if form is RoutingEnv else {"num_envs": ROWS}
        return form(image_problem(fault), **size, **SMALL)

    def minibatch(env):
        start = env.router.trainer.updates
        while env.router.trainer.updates == start:
            try:
                info = env.step(np.zeros(ROWS, np.int64) if form is RoutingVectorEnv else 0)[-1]
            except gym.error.ResetNeeded:
                env.reset()
        return info

    fault = Fault("data")
    env = made(fault)
    env.reset(seed=0)
    minibatch(env)
    before, parameters_before = buffers(env), parameters(env)
    fault.on = True
    env.reset()  # which draws the images
    assert any(not value.isfinite().all() for value in buffers(env).values())
    if saved:
        state, env = env.state_dict(), made(fault)
        env.load_state_dict(state)
    assert "loss of" in minibatch(env)["failure"]
    assert before and equal(before, buffers(env)) and equal(parameters_before, parameters(env))
    fault.on = False
    env.reset()
    assert minibatch(env)["failure"] == "" and env.is_open
    after = parameters(env)
    assert not equal(before, after) and all(value.isfinite().all() for value in after.values())
    assert np.isfinite(env.evaluate_routes("test").losses).all()


def test_evaluation_changes_nothing_and_knows_each_task():
    env = make()
    env.reset(seed=0)
    play(env, routes(0))
    before, random = parameters(env), env.np_random.bit_generator.state
    values = env.evaluate("val")
    assert sorted(values) == [f"task{t}/accuracy" for t in range(TASKS)]
    assert equal(before, parameters(env)) and random == env.np_random.bit_generator.state
    assert env.router.trainer.model.training
    with pytest.raises(ValueError, match="split"):
        env.evaluate("valid")


def test_without_a_policy_each_task_takes_what_it_took_most():
    env = make(batch_size=12)
    env.reset(seed=0)
    task = env.router.trainer.samples.task.numpy()
    play(env, (task[:, None] + np.arange(DEPTH)) % TASKS)
    found = env.evaluate_routes("test")
    assert np.array_equal(found.routes, (found.task[:, None] + np.arange(DEPTH)) % TASKS)
    shares = found.shares(TASKS, TASKS)
    assert np.array_equal(shares[1], np.eye(TASKS)[[1, 2, 0]])


def test_the_picture_and_the_table_show_what_was_chosen():
    env = make(render_mode="ansi")
    env.reset(seed=0)
    play(env, np.tile([0, 1, 2], (ROWS, 1)))
    assert "1 (100%)" in env.render()
    picture = make(render_mode="rgb_array")
    picture.reset(seed=0)
    assert picture.render().shape == (240, 480, 3)


def test_the_environment_of_a_network_that_is_not_there_asks_for_a_reset():
    env = make()
    for call in (lambda: env.step(0), env.evaluate, env.state_dict):
        with pytest.raises(gym.error.ResetNeeded):
            call()
