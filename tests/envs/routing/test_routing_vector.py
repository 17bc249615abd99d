"""A minibatch of routes at once."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from stable_baselines3 import DQN, PPO

from mtlgym.agents import WPL, SB3VecEnv
from mtlgym.envs.routing import RoutingEnv, RoutingVectorEnv
from mtlgym.models.architectures import ARCHITECTURES
from tests.envs.routing.toy_images import SMALL, problem

DEPTH, TASKS, ROWS = 3, 3, 8
MODES = [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED]


def make(mode=AutoresetMode.SAME_STEP, rows=ROWS, flipped=(False, True, False), **options):
    options = {**SMALL, **options}
    return RoutingVectorEnv(problem(flipped=flipped), rows, autoreset_mode=mode, **options)


def routes(seed, batches=3, rows=ROWS):
    return np.random.default_rng(seed).integers(0, TASKS, (batches, DEPTH, rows))


def minibatch(env, chosen):
    """One minibatch by these actions, (depths, rows), and whatever begins the next."""
    steps = [env.step(action) for action in chosen]
    if env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP:
        env.step(chosen[0])
    elif env.metadata["autoreset_mode"] is AutoresetMode.DISABLED:
        env.reset()
    return steps


def parameters(env):
    return {k: v.clone() for k, v in env.router.trainer.model.state_dict().items()}


def equal(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("rho", [0.0, 0.4])
def test_the_rows_are_the_single_environments_episodes(architecture, rho):
    options = {"architecture": architecture, "rho": rho}
    many = make(**options)
    one = RoutingEnv(problem(), batch_size=ROWS, **SMALL, **options)
    many.reset(seed=3)
    one.reset(seed=3)
    actions = min(TASKS, many.single_action_space.n)
    for chosen in routes(0) % actions:
        steps = minibatch(many, chosen)
        for row in range(ROWS):
            for depth in range(DEPTH):
                observation, reward, ended, _, info = one.step(int(chosen[depth, row]))
                mine = steps[depth]
                assert ended == mine[2][row] == (depth == DEPTH - 1)
                assert reward == pytest.approx(mine[1][row])
                last = mine[4]["final_obs"][row] if ended else mine[0]
                value = last["value"] if ended else last["value"][row]
                np.testing.assert_allclose(observation["value"], value, rtol=1e-4, atol=1e-5)
            assert info["correct"] == mine[4]["final_info"]["correct"][row]
            one.reset()
    theirs = parameters(one)
    for name, value in parameters(many).items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_reset_trains_the_same_network(mode):
    env, usual = make(mode), make()
    for each in (env, usual):
        each.reset(seed=0)
        for chosen in routes(1):
            minibatch(each, chosen)
    assert equal(parameters(env), parameters(usual))
    assert env.router.trainer.updates == 3


def test_in_the_next_step_the_actions_are_not_used_and_nothing_is_paid():
    env = make(AutoresetMode.NEXT_STEP)
    env.reset(seed=0)
    *_, last = [env.step(action) for action in routes(0)[0]]
    assert last[2].all() and last[4]["_loss"].all() and "final_obs" not in last[4]
    observation, rewards, ended, _, _ = env.step(np.full(ROWS, 0))
    assert not rewards.any() and not ended.any() and not observation["depth"].any()


def test_without_autoreset_a_minibatch_that_is_over_asks_for_a_reset():
    env = make(AutoresetMode.DISABLED)
    env.reset(seed=0)
    for action in routes(0)[0]:
        env.step(action)
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(ROWS, int))
    with pytest.raises(ValueError, match="all rows"):
        env.reset(options={"reset_mask": np.arange(ROWS) == 0})
    env.reset(options={"reset_mask": np.ones(ROWS, bool)})
    env.step(np.zeros(ROWS, int))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("steps", [0, 1, 3, 4, 8])
def test_a_saved_run_goes_on_bit_for_bit(tmp_path, mode, steps):
    def step(each, action):
        found = each.step(action)
        if mode is AutoresetMode.DISABLED and found[2].all():
            each.reset()
        return found

    chosen = np.random.default_rng(2).integers(0, TASKS, (16, ROWS))
    env = make(mode, rho=0.5)
    before, _ = env.reset(seed=0)
    for action in chosen[:steps]:
        before = step(env, action)[0]
    env.save(tmp_path / "run")
    other = make(mode, rho=0.5)
    observation, _ = other.load(tmp_path / "run")
    if not (mode is AutoresetMode.DISABLED and steps == 3):
        assert np.array_equal(observation["value"], before["value"])
    traces = [[step(each, action) for action in chosen[steps:]] for each in (env, other)]
    for a, b in zip(*traces, strict=True):
        assert np.array_equal(a[0]["value"], b[0]["value"]) and np.array_equal(a[1], b[1])
    assert equal(parameters(env), parameters(other))


@pytest.mark.parametrize(
    "actions",
    [
        np.zeros(ROWS - 1, int),
        np.full(ROWS, TASKS),
        np.full(ROWS, -1),
        np.zeros(ROWS),
        np.zeros((ROWS, 1), int),
        None,
    ],
)
def test_actions_that_are_no_blocks_are_refused_and_change_nothing(actions):
    env = make()
    env.reset(seed=0)
    env.step(np.ones(ROWS, int))
    before = env.state_dict()["state"]
    with pytest.raises(ValueError, match="action"):
        env.step(actions)
    after = env.state_dict()["state"]
    assert np.array_equal(before["taken"], after["taken"]) and before["depth"] == after["depth"]


def test_other_arguments_that_make_no_sense_are_refused():
    for text, options in (("batch_size", {"batch_size": 4}), ("render_mode", {"render_mode": "x"})):
        with pytest.raises(ValueError, match=text):
            make(**options)
    with pytest.raises(ValueError, match="one integer"):
        make().reset(seed=list(range(ROWS)))
    with pytest.raises(gym.error.ResetNeeded):
        make().step(np.zeros(ROWS, int))


def test_observations_lie_in_the_space_and_the_mask_says_what_is_allowed():
    env = make(recursive=True)
    observation, info = env.reset(seed=0)
    for depth in range(DEPTH):
        assert observation in env.observation_space
        allowed = info["action_mask"]
        assert allowed.shape == (ROWS, 2 * TASKS + 1)
        assert allowed[0].sum() == (TASKS if depth == DEPTH - 1 else 2 * TASKS + 1)
        observation, *_, info = env.step(np.full(ROWS, depth))


def test_a_route_costs_one_call_a_block_in_use_and_as_many_rows_as_depths():
    env, calls = make(), []
    env.reset(seed=0)
    head: Any = env.router.head
    for layer in head.layers:
        for block in layer:
            block.register_forward_hook(lambda module, inputs, _: calls.append(len(inputs[0])))
    chosen = routes(5)[0]
    minibatch(env, chosen)
    assert sum(calls) == DEPTH * ROWS
    assert len(calls) == sum(len(set(action.tolist())) for action in chosen)


@pytest.mark.parametrize("algorithm", [DQN, PPO])
def test_stable_baselines3_trains_on_the_vector_form_through_the_adapter(algorithm):
    env = SB3VecEnv(make())
    sizes = (
        {"learning_starts": 8, "batch_size": 8}
        if algorithm is DQN
        else {"n_steps": 3, "batch_size": 8}
    )
    model = algorithm("MultiInputPolicy", env, seed=0, device="cpu", **sizes)
    before = [value.clone() for value in model.policy.parameters()]
    model.learn(6 * ROWS)
    after = model.policy.parameters()
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert env.env.router.trainer.updates >= 2


def learn(architecture, agent_of, updates=400):
    env = make(rows=32, flipped=(False, True, False, True), architecture=architecture, lr=0.1)
    observation, info = env.reset(seed=0)
    agent = agent_of(env.observation_space, env.action_space)
    while env.router.trainer.updates < updates:
        action = agent.act(observation, info)
        after, reward, *ends, info = env.step(action)
        agent.learn(observation, action, reward, after, *ends, info)
        observation = after
    return env, agent


class Still:
    """The one action of a network without a choice."""

    def __init__(self, observation_space, action_space):
        self._action = np.zeros(len(action_space.nvec), int)

    def act(self, observation, info):
        return self._action

    def learn(self, *step):
        pass


def test_learnt_routes_separate_tasks_of_opposite_labels_and_beat_one_network_for_all():
    shared, _ = learn("shared", Still)
    assert max(shared.evaluate("test").values()) < 0.7  # what is right for half of the tasks
    routed, agent = learn("routing-all-fc", lambda *spaces: WPL(*spaces, seed=0))
    values = routed.evaluate("test", agent.greedy)
    assert min(values.values()) > 0.9
    found = routed.evaluate_routes("test", agent.greedy).shares(4, 4).argmax(axis=2)
    for plain in (0, 2):
        for flipped in (1, 3):
            assert (found[plain] != found[flipped]).any()
