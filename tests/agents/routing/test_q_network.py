"""Q-learning with networks against a transcription."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from numpy.testing import assert_allclose
from torch.testing import assert_close

from mtlgym.agents import QLearning
from tests.agents.routing.network_references import (
    PARTS,
    adam,
    assert_like,
    assert_same,
    descend,
    gradients,
    networks,
    routing_features,
)
from tests.agents.routing.toy_routes import Routes

BOX = spaces.Box(-1, 1, (3,), np.float32)
RATE, GAMMA = 0.02, 0.9


def agent_for(observations, actions, **settings):
    given = {"seed": 0, "representation": "network", "learning_rate": RATE, "gamma": GAMMA}
    return QLearning(observations, actions, **(given | settings))


def parameters(agent):
    return agent.state_dict()["values"]["parameters"]


def test_q_learning_follows_its_formula():
    env = Routes(tasks=3, masked=True, best=0.9, lost=0.2)
    agent = agent_for(env.observation_space, env.action_space, hidden=16, epsilon=0.5)
    made = networks(parameters(agent))
    optimizer = adam(made, RATE)

    def values(observation):
        at = int(observation["task"]), int(observation["depth"])
        return made[at](routing_features(observation, 3))

    seen, info = env.reset(seed=0)
    for _ in range(150):
        action = agent.act(seen, info)
        after, reward, over, _, info = env.step(action)
        agent.learn(seen, action, reward, after, over, False, info)
        allowed = torch.as_tensor(info["action_mask"]) == 1
        best = 0.0 if over else values(after)[allowed].max().item()
        descend(optimizer, (reward + GAMMA * best - values(seen)[action]) ** 2)
        seen, info = env.reset() if over else (after, info)
    assert_like(parameters(agent), made)


def test_epsilon_of_the_choices_are_at_random_and_the_others_the_best():
    agent = agent_for(BOX, spaces.Discrete(4), epsilon=0.2)
    seen = np.array([0.5, -0.3, 0.1], np.float32)
    values = networks(parameters(agent))[0, 0](torch.from_numpy(seen))
    best = int(values.argmax())
    expected = np.full(4, 0.05)
    expected[best] = 0.85
    assert_allclose(agent.distribution(seen, {})[0], expected, rtol=1e-12)
    assert agent.greedy(seen, {}) == best
    without = np.ones(4, np.int8)
    without[best] = 0
    values[best] = -torch.inf
    assert agent.greedy(seen, {"action_mask": without}) == int(values.argmax())


def test_a_batch_has_the_mean_of_the_gradients_of_its_rows():
    rng, rows = np.random.default_rng(1), 5
    before, after = (rng.uniform(-1, 1, (rows, 3)).astype(np.float32) for _ in range(2))
    actions, rewards = rng.integers(4, size=rows), rng.normal(size=rows)
    over = np.array([True, False, False, True, False])
    batch = spaces.Box(-1, 1, (rows, 3), np.float32), spaces.MultiDiscrete([4] * rows)
    many = agent_for(*batch)
    many.learn(before, actions, rewards, after, over, np.zeros(rows, np.bool_), {})
    total = {part: torch.zeros(()) for part in PARTS}
    for row in range(rows):
        alone = agent_for(BOX, spaces.Discrete(4))
        given = before[row], int(actions[row]), float(rewards[row]), after[row]
        alone.learn(*given, bool(over[row]), False, {})
        found = gradients(alone.state_dict()["values"])
        total = {part: total[part] + found[part] / rows for part in PARTS}
    for part in PARTS:
        assert_close(
            gradients(many.state_dict()["values"])[part], total[part], rtol=1e-4, atol=1e-6
        )


@pytest.mark.parametrize(("end", "value"), [("terminated", 0.0), ("truncated", 0.5)])
def test_values_go_on_through_truncation_alone(end, value):
    agent = agent_for(
        spaces.Discrete(2), spaces.Discrete(1), gamma=0.5, hidden=8, learning_rate=0.1
    )
    for _ in range(100):
        agent.learn(1, 0, 1.0, 1, True, False, {})  # Q(1) becomes 1
        agent.learn(0, 0, 0.0, 1, end == "terminated", end == "truncated", {})
    made = networks(parameters(agent))
    assert made[0, 0](torch.tensor([1.0, 0.0])).item() == pytest.approx(value, abs=0.02)


def test_one_seed_draws_one_set_of_parameters():
    one, two, other = (agent_for(BOX, spaces.Discrete(2), seed=seed) for seed in (3, 3, 4))
    assert_same(parameters(one), parameters(two))
    assert not torch.equal(parameters(one)["inner"], parameters(other)["inner"])
