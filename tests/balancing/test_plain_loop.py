"""An environment's run is the training that one would write by hand."""

import numpy as np
import pytest
import torch

from mtlgym.envs.training.env import TrainingEnv
from tests.envs.training.toy import Net, losses, toy


def plain_loop(problem, seed, weights, epochs=3, batch_size=10, log=True):
    """The same training as a plain loop, from the environment's model and order of batches."""
    env = TrainingEnv(problem, epochs=epochs, batch_size=batch_size, validate_every=0)
    env.reset(seed=seed)
    learner = env.episode.learner
    model, feed = learner.model, learner.feed
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    trace = []
    for k in range(epochs * 4):
        values = losses(model, feed.share(0, k).batch)
        trace.append(values.detach())
        optimizer.zero_grad()
        (torch.tensor(weights) * (values.log() if log else values)).sum().backward()
        optimizer.step()
    return trace


class Plain(Net):
    """Without dropout, so that a plain loop needs no streams."""

    def __init__(self):
        super().__init__()
        self.trunk[3] = torch.nn.Identity()


@pytest.mark.parametrize("transform", ["log", "none"])
def test_a_run_is_the_plain_training_loop(transform):
    weights = [0.5, 2.0, 1.0]
    problem = toy(build=Plain)
    env = TrainingEnv(problem, epochs=3, batch_size=10, actions="weights", transform=transform)
    trace = [env.reset(seed=5)[0], *(env.step(np.array(weights))[0] for _ in range(11))]
    expected = plain_loop(problem, 5, weights, log=transform == "log")
    np.testing.assert_array_equal(trace, torch.stack(expected).numpy())
