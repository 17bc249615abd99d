"""Minibatches that are routed in one process and in two: `CELLS`, as in `distributed_cells`."""

from functools import partial

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from torch import nn

from mtlgym.agents import WPL
from mtlgym.envs.routing import RoutingEnv, RoutingVectorEnv
from mtlgym.models.heads import HeadSizes
from mtlgym.models.routed import Routed
from mtlgym.models.routing_net import RoutingNet
from tests.distributed.distributed_toys import rank
from tests.distributed.distributed_work import Cell
from tests.envs.routing.toy_images import SMALL, problem

ROWS, DEPTH, BLOCKS, BATCHES = 6, 3, 4, 7  # of the 40 minibatches of an epoch


class Trunk(nn.Module):
    """Without batch norm, which sees the share of the rows, and in double precision."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, images):
        return self.layer(images.double().mean(dim=(2, 3)))


def make(parallel, exact=True, **options):
    options = {**SMALL, "blocks": BLOCKS, "autoreset_mode": AutoresetMode.SAME_STEP, **options}
    env = RoutingVectorEnv(problem(), ROWS, distributed=parallel, **{"lr": 0.2, **options})
    if exact:
        passes = options.get("pass_action", False)
        form = HeadSizes(4, 2, 3, width=4, blocks=BLOCKS, depth=DEPTH, passes=passes)
        network = partial(RoutingNet, Trunk(), Routed(form))
        object.__setattr__(env.router.configuration, "build", lambda: fresh(network().double()))
    return env


def fresh(network):
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    return network


def chosen(env):
    """Actions by minibatch, depth and row: the last block in the first minibatch alone.

    Later the first process's rows have blocks 0 and 1, the second's 1 and 2.
    """
    draw = np.random.default_rng(0).integers(0, 2, (BATCHES, DEPTH, ROWS))
    draw[:, :, ROWS // 2 :] += 1
    draw[0, :, ::2] = BLOCKS - 1
    return draw


def trace(env, batches=BATCHES):
    """Observations, rewards and losses, and the parameters at the end."""
    observation, info = env.reset(seed=0)
    seen = [observation["value"]]
    rewards, losses = [], []
    for actions in chosen(env)[:batches].reshape(-1, ROWS):
        observation, reward, _, _, info = env.step(actions)
        seen.append(observation["value"])
        rewards.append(reward)
        if "final_info" in info:
            losses.append(info["final_info"]["loss"])
            seen.append(np.stack([each["value"] for each in info["final_obs"]]))
    found = {"seen": seen, "rewards": rewards, "losses": losses}
    found["counts"] = env.router.history.counts
    arrays = {name: torch.tensor(np.array(each)) for name, each in found.items()}
    return {**arrays, "parameters": parameters(env)}


def parameters(env):
    return torch.cat([p.detach().flatten() for p in env.router.trainer.model.parameters()])


def masked(env):
    """What each row may choose, and what the agents of tasks make of it."""
    observation, info = env.reset(seed=0)
    agent = WPL(env.observation_space, env.action_space, seed=0)
    masks = []
    for _ in range(9):
        masks.append(info["action_mask"])
        action = agent.act(observation, info)
        after, reward, terminated, truncated, info = env.step(action)
        agent.learn(observation, action, reward, after, terminated, truncated, info)
        observation = after
    accuracies = [*env.evaluate("val").values()]
    return {
        "masks": torch.tensor(np.array(masks)),
        "accuracies": torch.tensor(accuracies),
        "parameters": parameters(env),
    }


def refused(env):
    """Actions that are not allowed leave the processes in step."""
    env.reset(seed=0)
    actions = chosen(env)
    for wrong in (np.full(ROWS, BLOCKS), np.zeros(ROWS - 1, int), np.zeros(ROWS)):
        with pytest.raises(ValueError):
            env.step(wrong)
    with pytest.raises(ValueError, match="cannot be continued"):
        env.load_state_dict({**env.state_dict(), "state": {"random": {}}})
    rewards = [env.step(each)[1] for each in actions.reshape(-1, ROWS)]
    return {"rewards": torch.tensor(np.array(rewards)), "parameters": parameters(env)}


def resumed(env):
    """The rest of a run after it was saved inside a minibatch; and from what was saved."""
    env.reset(seed=0)
    actions = chosen(env).reshape(-1, ROWS)
    for each in actions[:7]:
        env.step(each)
    state = env.state_dict()
    rests = []
    for _ in range(2):
        rests.append(
            repr([env.step(each) for each in actions[7:]]) + repr(parameters(env).tolist())
        )
        env.load_state_dict(state)
    return {"whole": rests[0], "resumed": rests[1], "state": state}


def mistaken(parallel):
    """What is refused before the processes do anything together."""
    with pytest.raises(ValueError, match="`num_envs` must be a multiple of the 2 processes, not 7"):
        RoutingVectorEnv(problem(), 7, distributed=parallel, **SMALL)
    with pytest.raises(ValueError, match="`distributed` must be False for the single form"):
        RoutingEnv(problem(), distributed=parallel, **SMALL)
    return make(parallel)


def carried_on(env):
    """A run that one process began, and left inside a minibatch."""
    one, actions = make(False, rho=0.4), chosen(env).reshape(-1, ROWS)
    one.reset(seed=0)
    for each in actions[:8]:
        one.step(each)
    env.reset(seed=1)
    env.load_state_dict(one.state_dict())
    rewards = [env.step(each)[1] for each in actions[8:]]
    return {"rewards": torch.tensor(np.array(rewards)), "parameters": parameters(env)}


def of_rank_one(parallel):
    env = make(parallel)
    own, calls = env.problem.losses, []

    def faulty(scores, task, label):
        calls.append(len(scores))
        spoilt = rank() and len(calls) == 3
        return own(scores, task, label) * (float("nan") if spoilt else 1.0)

    object.__setattr__(env.problem, "losses", faulty)
    return env


def spoilt(env):
    """Until training fails; with whether the parameters moved then."""
    env.reset(seed=0)
    before, info = parameters(env), {"failure": ""}
    for actions in chosen(env).reshape(-1, ROWS):
        before = parameters(env)
        info = env.step(actions)[4]
        if info["failure"]:
            break
    return {
        "failure": info["failure"],
        "updates": info["updates"],
        "moved": not torch.equal(before, parameters(env)),
        "is_open": env.is_open,
    }


EQUAL = {
    "blocks in use": Cell(partial(make, optimizer="adam", weight_decay=0.1), trace),
    "sgd": Cell(partial(make, reward="negative_loss"), trace),
    "collaboration": Cell(partial(make, rho=0.4, history_length=5), trace),
    "balanced": Cell(partial(make, balanced=True, history="shared", rho=0.2), trace),
    "masked": Cell(partial(make, pass_action=True), masked),
    "refused": Cell(make, refused),
    "carried on": Cell(partial(make, rho=0.4), carried_on),
}
OTHER = {
    "resumed": Cell(partial(make, exact=False, rho=0.3), resumed),
    "failing": Cell(of_rank_one, spoilt),
    "mistaken": Cell(mistaken, trace),
}
CELLS = {**EQUAL, **OTHER}
