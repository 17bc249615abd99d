"""Trainings that are played in one process and in two: `CELLS`."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import SAC

from mtlgym.envs.training.env import TrainingEnv
from tests.distributed.distributed_toys import (
    STEPS,
    OnceMisshapen,
    OnRankOne,
    broken,
    equal_weights,
    make,
    not_a_number,
    parameters,
    policy,
    rank,
    steep,
    trace,
    worst,
)
from tests.distributed.distributed_work import Cell
from tests.envs.training.toy import rollout, toy

plain, chosen = partial(trace, act=equal_weights), partial(trace, act=worst)


def cell(play=plain, **options):
    return Cell(partial(make, **{"actions": "weights", **options}), play)


def balanced(env):
    return trace(env, policy("igbv1", env))


def refused(env):
    env.reset(seed=0)
    for _ in range(STEPS // 2):
        env.step(np.ones(3))
    for wrong in ([1.0, np.nan, 1.0], [1.0, -1.0, 1.0], [1.0], "equal"):
        with pytest.raises(ValueError, match="`action`"):
            env.step(wrong)
    with pytest.raises(ValueError, match="not the state of an environment"):
        env.load_state_dict({})
    rows = [env.step(np.ones(3))[4]["losses"] for _ in range(STEPS // 2)]
    return {"rows": torch.tensor(np.array(rows)), "parameters": parameters(env)}


def finished(env):
    """The metrics of a whole run."""
    env.reset(seed=0)
    while env.is_open:
        env.step(np.ones(3))
    learner = env.episode.learner
    scores = [learner.validation.best_score, learner.lr, *env.evaluate("test", best=True).values()]
    return {"rows": torch.tensor(scores, dtype=torch.float64), "parameters": parameters(env)}


def carried_on(env):
    """A run that one process began."""
    one = make(False, actions="weights")
    trace(one, equal_weights, steps=7)
    env.reset(seed=5)
    env.load_state_dict(one.state_dict())
    rows = [env.step(np.ones(3))[4]["losses"] for _ in range(STEPS - 7)]
    return {"rows": torch.tensor(np.array(rows)), "parameters": parameters(env)}


def failing(env):
    """Until it fails: how, and whether that step has moved the parameters."""
    env.reset(seed=0)
    terminated = False
    while not terminated:
        before = parameters(env)
        _, reward, terminated, _, info = env.step(np.ones(3))
    steps, moved = info["step"], not torch.equal(before, parameters(env))
    return {"failure": info["failure"], "reward": reward, "steps": steps, "moved": moved}


def rough(parallel, **options):
    """With batch norm, dropout and noisy samples."""
    options = {"epochs": 4, "batch_size": 11, "same_batch": True, **options}
    return TrainingEnv(toy(), distributed=parallel, **options)


def resumed(env):
    """The rest of a run after it was saved; and once more from what was saved."""
    rollout(env, steps=7)
    state = env.state_dict()
    rests = []
    for _ in range(2):
        env.action_space.seed(5)
        rest = [env.step(env.action_space.sample()) for _ in range(6)]
        rests.append(repr(rest) + repr(parameters(env).tolist()))
        env.load_state_dict(state)
    return {"whole": rests[0], "resumed": rests[1], "state": state}


def sac(env):
    model = SAC("MlpPolicy", env, learning_starts=4, batch_size=4, buffer_size=50, seed=0)
    model.learn(30)
    return {"steps": model.num_timesteps}


def interrupted(env):
    """An error in the second process, how it is reported, and a run afterwards."""
    env.reset(seed=0)
    found: dict[str, Any] = {}
    try:
        while True:
            env.step(np.ones(3))
    except RuntimeError as error:
        found["error"] = f"{type(error).__name__}: {error}"
        found["notes"] = "".join(error.__notes__)
    assert not env.is_open
    env.reset(seed=0)
    env.step(np.ones(3))
    return found


def led_astray(env):
    """An error in all processes is what it would be in one, and the second follows on."""
    env.reset(seed=0)
    with pytest.raises(ValueError, match="must have the shape"):
        env.step(np.ones(3))
    env.reset(seed=0)
    env.step(np.ones(3))
    return {}


def mistaken(parallel):
    """What is refused before the processes do anything together."""
    with pytest.raises(ValueError, match=r"made another environment: lr: 0\.\d+ there, 0\.\d+ her"):
        make(parallel, lr=0.01 * (1 + rank()))
    env = make(parallel, actions="weights")
    with pytest.raises(RuntimeError, match=r"does not lead; .* `env.unwrapped.follow\(\)`|above 0"):
        env.reset() if rank() else env.follow()
    return env


def closed(env):
    env.reset(seed=0)
    env.close()
    with pytest.raises(RuntimeError, match="process 0 of 2 has closed the environment"):
        env.step(np.ones(3))
    return {}


EQUAL = {  # two processes give what one gives, but for rounding
    "equal weights": cell(size=40),
    "an odd last batch": cell(transform="none", scheduler="linear"),
    "a last batch of one": cell(size=41, optimizer="adamw", weight_decay=0.1),
    "nash": cell(aggregator="nash"),
    "loop": cell(aggregator="mgda", jacobian="loop"),
    "auto": cell(aggregator="imtl_g", jacobian="auto"),
    "igbv1+cagrad": cell(balanced, aggregator="cagrad", max_norm=0.5),
    "clipped": cell(max_norm=0.1),
    "a source a task": cell(sources=3, reward="prediction_gain"),
    "tasks": Cell(partial(make, sources=3, interface="tasks", weight_decay=0.1), chosen),
    "fused": cell(fused=True),
    "same batch": cell(reward="prediction_gain", same_batch=True),
    "refused": cell(refused),
    "a whole run": cell(finished, epochs=3, scheduler="plateau"),
    "carried on": cell(carried_on),
}
FAILING = {
    "loss": cell(failing, losses=OnRankOne(not_a_number, 4)),
    "first loss": cell(failing, losses=OnRankOne(not_a_number, 1)),
    "gradient": cell(failing, losses=OnRankOne(steep, 4)),
    "gradient under nash": cell(failing, losses=OnRankOne(steep, 4), aggregator="nash"),
    "gradient at once": cell(failing, losses=OnRankOne(steep, 1), aggregator="cagrad"),
    "fused gradient": cell(failing, losses=OnRankOne(steep, 4), fused=True),
}
OTHER = {
    "resumed": Cell(rough, resumed),
    "resumed nash": Cell(partial(rough, aggregator="nash"), resumed),
    "sac": Cell(partial(rough, epochs=2), sac),
    "interrupted": cell(interrupted, losses=OnRankOne(broken, 4, last=4)),
    "led astray": cell(led_astray, losses=OnceMisshapen(call=2)),
    "mistaken": Cell(mistaken, plain),
    "closed": cell(closed),
}
CELLS = {**EQUAL, **FAILING, **OTHER}
