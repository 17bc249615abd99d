"""REINFORCE and the actor-critic against transcriptions, and on small environments."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from numpy.testing import assert_allclose
from torch.testing import assert_close

from mtlgym.agents import REINFORCE, ActorCritic
from mtlgym.agents.routing.averages import Averages
from tests.agents.routing.network_references import (
    PARTS,
    adam,
    assert_like,
    assert_same,
    descend,
    episodes,
    gradients,
    gradients_of,
    networks,
    routing_features,
)
from tests.agents.routing.toy_routes import Routes, vector

AGENTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "reinforce": (REINFORCE, {}),
    "with a baseline": (REINFORCE, {"baseline": "mean"}),
    "actor-critic": (ActorCritic, {"entropy": 0.01}),
}
TASKS = 3


def agent_for(env, name="reinforce", **settings):
    kind, own = AGENTS[name]
    return kind(env.observation_space, env.action_space, **({"seed": 0} | own | settings))


def policy(agent):
    return agent.state_dict()["policy"]


def log_policy(made, agent, observation, allowed=None):
    logits = made[agent, int(observation["depth"])](routing_features(observation, TASKS))
    if allowed is not None:
        logits = torch.where(torch.as_tensor(allowed) == 1, logits, torch.tensor(-1e30))
    return logits - logits.logsumexp(0)


def returns(steps, gamma):
    result: list[float] = []
    for step in reversed(steps):
        result.append(step[3] + gamma * (result[-1] if result else 0.0))
    return result[::-1]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("baseline", ["none", "mean"])
def test_reinforce_follows_its_formula(baseline, masked):
    env, gamma = Routes(tasks=TASKS, masked=masked, best=0.9, lost=0.2), 0.9
    agent = agent_for(env, baseline=baseline, gamma=gamma, learning_rate=0.02, hidden=16)
    env.reset(seed=0)
    made = networks(policy(agent)["parameters"])
    optimizer = adam(made, 0.02)
    past: dict[tuple[int, int], list[float]] = {at: [] for at in made}
    for steps in episodes(agent, env, 60):
        loss = torch.tensor(0.0)
        for (seen, mask, action, *_), value in zip(steps, returns(steps, gamma), strict=True):
            at = int(seen["task"]), int(seen["depth"])
            first = past[at]
            expected = np.mean(first) if first and baseline == "mean" else 0.0
            loss = loss - float(value - expected) * log_policy(made, at[0], seen, mask)[action]
            past[at].append(value)
        descend(optimizer, loss)
    seen, info = env.reset()
    expected = log_policy(made, int(seen["task"]), seen, info.get("action_mask")).exp()
    assert_allclose(agent.distribution(seen, info)[0], expected.detach(), rtol=2e-3, atol=1e-5)
    assert_like(policy(agent)["parameters"], made)


def test_actor_critic_follows_its_formula():
    env, gamma, entropy = Routes(tasks=TASKS, masked=True, best=0.9, lost=0.2), 0.9, 0.05
    settings = {"learning_rate": 0.01, "value_learning_rate": 0.02, "hidden": 16}
    agent = agent_for(env, "actor-critic", gamma=gamma, entropy=entropy, **settings)
    env.reset(seed=0)
    actors = networks(policy(agent)["parameters"])
    critics = networks(agent.state_dict()["critic"]["parameters"])
    optimizers = adam(actors, 0.01), adam(critics, 0.02)

    def value(observation):
        at = int(observation["task"]), int(observation["depth"])
        return critics[at](routing_features(observation, TASKS))[0]

    for steps in episodes(agent, env, 40):
        for number, (seen, mask, action, reward, after) in enumerate(steps):
            follows = value(after).item() if number < len(steps) - 1 else 0.0
            error = reward + gamma * follows - value(seen)
            chances = log_policy(actors, int(seen["task"]), seen, mask)
            spread = -(chances.exp() * chances)[torch.as_tensor(mask) == 1].sum()
            descend(optimizers[0], -error.item() * chances[action] - entropy * spread)
            descend(optimizers[1], error**2)
    assert_like(policy(agent)["parameters"], actors)
    assert_like(agent.state_dict()["critic"]["parameters"], critics)


@pytest.mark.parametrize("baseline", [0.0, 5.0])
def test_reinforce_climbs_the_expected_return_on_average(baseline):
    """The mean of its gradient over the actions is that of sum_a pi(a) r(a), for any baseline."""
    settings = {"baseline": "mean", "seed": 1}
    one = REINFORCE(spaces.Discrete(1), spaces.Discrete(3), **settings)
    start, rewards = one.state_dict(), [1.0, -2.0, 0.5]
    start["averages"] = {"values": np.array([baseline]), "visits": np.array([3.0])}
    chances = one.distribution(0, {})[0]
    mean = {part: torch.zeros(()) for part in PARTS}
    for action, reward in enumerate(rewards):
        one.load_state_dict(start)
        one.learn(0, action, reward, 0, True, False, {})
        found_gradient = gradients(policy(one))
        mean = {part: mean[part] + chances[action] * found_gradient[part] for part in PARTS}
    made = networks(start["policy"]["parameters"])
    (-made[0, 0](torch.ones(1)).softmax(0) @ torch.tensor(rewards)).backward()
    expected = gradients_of(made, start["policy"]["parameters"])
    for part in PARTS:
        assert_close(mean[part].float(), expected[part], rtol=1e-4, atol=1e-6)
        assert expected[part].abs().max() > 0.01


def test_a_batch_has_the_mean_of_the_gradients_of_its_episodes():
    rng, rows = np.random.default_rng(0), 6
    many = agent_for(vector(rows))
    total = {part: torch.zeros(()) for part in PARTS}
    tasks, rewards = rng.integers(3, size=rows), rng.normal(size=(2, rows))
    values = rng.uniform(-1, 1, (3, rows, 5)).astype(np.float32)
    actions = rng.integers(4, size=(2, rows))
    for depth in range(2):
        over = np.full(rows, depth == 1)
        seen, after = (
            {"value": values[k], "task": tasks, "depth": np.full(rows, min(k, 1))}
            for k in (depth, depth + 1)
        )
        many.learn(seen, actions[depth], rewards[depth], after, over, ~over & over, {})
    for row in range(rows):
        alone = agent_for(Routes())
        assert_same(policy(alone)["parameters"], policy(agent_for(vector(rows)))["parameters"])
        for depth in range(2):
            seen, after = (
                {"value": values[k, row], "task": tasks[row], "depth": np.int64(min(k, 1))}
                for k in (depth, depth + 1)
            )
            action, reward = int(actions[depth, row]), float(rewards[depth, row])
            alone.learn(seen, action, reward, after, depth == 1, False, {})
        total = {part: total[part] + gradients(policy(alone))[part] / rows for part in PARTS}
    for part in PARTS:
        assert_close(gradients(policy(many))[part], total[part], rtol=1e-4, atol=1e-6)


def test_actor_critic_sees_through_truncation_and_not_through_termination():
    """With V(s') > 0, an episode cut after no reward still tells that the state is good."""
    settings: dict[str, Any] = {"seed": 0, "value_learning_rate": 0.1, "learning_rate": 0.0}
    ends = {"terminated": (True, False), "truncated": (False, True)}
    values = {}
    for end, over in ends.items():
        agent = ActorCritic(spaces.Discrete(2), spaces.Discrete(2), gamma=0.5, hidden=8, **settings)
        for _ in range(60):
            agent.learn(1, 0, 1.0, 1, True, False, {})  # V(1) becomes 1
            agent.learn(0, 0, 0.0, 1, *over, {})
        made = networks(agent.state_dict()["critic"]["parameters"])
        values[end] = made[0, 0](torch.tensor([1.0, 0.0])).item()
    assert values["terminated"] == pytest.approx(0.0, abs=0.02)
    assert values["truncated"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("name", AGENTS)
def test_truncated_rows_that_are_reset_at_once_are_valued_by_their_last_observation(name):
    """Only the critic looks at what follows; neither agent takes the reset's observation for it."""
    one, two = (
        AGENTS[name][0](spaces.Box(-1, 1, (2, 3), np.float32), spaces.MultiDiscrete([2, 2]), seed=0)
        for _ in range(2)
    )
    zero = np.zeros((2, 3), np.float32)
    last, reset = (np.full(3, each, np.float32) for each in (0.3, -0.8))
    never, cut = np.zeros(2, np.bool_), np.array([True, False])
    at_end, after = np.stack([last, zero[1]]), np.stack([reset, zero[1]])
    final = np.array([last, None], dtype=object)
    info = {"final_obs": final, "_final_obs": cut}
    chosen, rewards = np.array([0, 1]), np.ones(2)
    one.learn(zero, chosen, rewards, after, never, cut, info)
    two.learn(zero, chosen, rewards, at_end, never, cut, {})
    for part in ("policy", "critic") if name == "actor-critic" else ("policy",):
        assert_same(one.state_dict()[part], two.state_dict()[part])


def test_averages_are_plain_at_first_and_forget_in_the_end():
    rng, averages = np.random.default_rng(0), Averages(3, 0.1)
    expected, counts = [0.0] * 3, [0] * 3
    for cell in rng.integers(3, size=100).tolist():
        number = float(rng.normal())
        counts[cell] += 1
        expected[cell] += max(1 / counts[cell], 0.1) * (number - expected[cell])
        averages.add(np.array([cell]), np.array([number]))
        assert_allclose(averages.of(np.arange(3)), expected, rtol=1e-9, atol=1e-12)
    assert min(counts) > 10
    together = Averages(2, 0.0)
    together.add(np.array([1, 0, 1]), np.array([1.0, 5.0, 2.0]))
    assert_allclose(together.of(np.array([0, 1, 1])), [5.0, 1.5, 1.5])


def test_settings_of_one_agent_alone_are_checked():
    with pytest.raises(ValueError, match="Did you mean 'mean'"):
        agent_for(Routes(), baseline="men")
    for setting in ("entropy", "value_learning_rate"):
        with pytest.raises(ValueError, match=f"`{setting}` must"):
            agent_for(Routes(), "actor-critic", **{setting: -0.1})
