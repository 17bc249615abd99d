"""What the agents with networks do, transcribed with torch's own layers, a sample at a time."""

import torch
from numpy.testing import assert_array_equal
from torch import nn
from torch.testing import assert_close

PARTS = ("inner", "inner_bias", "outer", "outer_bias")


def networks(parameters):
    """Stacked parameters as networks of torch's layers, by (agent, depth)."""
    agents, depths, features, hidden = parameters["inner"].shape
    outputs = parameters["outer"].shape[-1]
    made = {}
    for at in ((agent, depth) for agent in range(agents) for depth in range(depths)):
        one = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
        for parameter, part in zip(one.parameters(), PARTS, strict=True):
            value = parameters[part][at].detach().clone()
            parameter.data = value.T.contiguous() if parameter.ndim == 2 else value[0]
        made[at] = one
    return made


def adam(made, learning_rate):
    """torch's Adam for all of them; it leaves those without a gradient alone."""
    every = [parameter for network in made.values() for parameter in network.parameters()]
    return torch.optim.Adam(every, learning_rate)


def descend(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def routing_features(observation, tasks):
    """Value and one-hot task."""
    code = [float(task == observation["task"]) for task in range(tasks)]
    return torch.tensor([*observation["value"].tolist(), *code])


def gradients(adam_state):
    """Of the first step of all, by the names of the stacked parameters: it is in Adam's moments."""
    return {part: adam_state["first"][part] / 0.1 for part in PARTS}


def gradients_of(made, shapes):
    """Of separate networks, stacked; 0 for those without one."""
    stacked = {part: torch.zeros(shapes[part].shape) for part in PARTS}
    for at, network in made.items():
        for part, parameter in zip(PARTS, network.parameters(), strict=True):
            if parameter.grad is not None:
                given = parameter.grad
                stacked[part][at] = given.T if given.ndim == 2 else given[None]
    return stacked


def episodes(agent, env, count):
    """Play; each episode's steps as (observation, mask, action, reward, what followed)."""
    for _ in range(count):
        observation, info = env.reset()
        steps, over = [], False
        while not over:
            action, mask = agent.act(observation, info), info.get("action_mask")
            after, reward, over, _, info = env.step(action)
            steps.append((observation, mask, action, reward, after))
            agent.learn(observation, action, reward, after, over, False, info)
            observation = after
        yield steps


def assert_same(one, two):
    """Nested states are equal to the last bit."""
    if isinstance(one, dict):
        assert one.keys() == two.keys()
        for key in one:
            assert_same(one[key], two[key])
    elif isinstance(one, list):
        assert len(one) == len(two)
        for first, second in zip(one, two, strict=True):
            assert_same(first, second)
    else:
        assert_array_equal(one, two)


def assert_like(parameters, made):
    """Stacked parameters are those of the separate networks, up to rounding."""
    for at, network in networks(parameters).items():
        for one, two in zip(network.parameters(), made[at].parameters(), strict=True):
            assert_close(one, two, rtol=1e-3, atol=1e-4)
