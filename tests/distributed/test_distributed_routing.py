"""Routing environments in two processes behave as in one."""

import re

import pytest
import torch

from mtlgym.envs.routing import RoutingVectorEnv
from tests.distributed import distributed_routing_cells as cells
from tests.distributed.distributed_work import results, same
from tests.envs.routing.toy_images import SMALL, problem

MODULE = "tests.distributed.distributed_routing_cells"


@pytest.mark.parametrize("name", cells.EQUAL)
def test_two_processes_route_as_one_does(name):
    first, second = results(MODULE, name)
    alone = cells.EQUAL[name].alone()
    for key, value in alone.items():
        torch.testing.assert_close(first[key], value, rtol=1e-12, atol=1e-12)
    assert same(first["model"], second["model"])


def own(env, values, block):
    """Those of the values, one a parameter, that are of this block, at any depth."""
    model = env.router.trainer.model
    owners = [
        torch.full(
            (parameter.numel(),), re.match(rf"head\.layers\.\d\.{block}\.", name) is not None
        )
        for name, parameter in model.named_parameters()
    ]
    return values[torch.cat(owners)]


def test_blocks_that_no_process_used_stand_still_and_those_of_one_move():
    env = cells.make(False, optimizer="adam", weight_decay=0.1)
    first, _ = results(MODULE, "blocks in use")
    one = cells.trace(env, batches=1)  # after which the last block is used no more
    moved = first["parameters"] != one["parameters"]
    blocks = [own(env, moved, block) for block in range(cells.BLOCKS)]
    assert all(block.any() for block in blocks[:-1])
    assert not blocks[-1].any()


def test_a_run_goes_on_from_a_checkpoint_bit_for_bit():
    first, second = results(MODULE, "resumed")
    assert first["resumed"] == first["whole"]
    assert same(first["model"], second["model"])


def test_a_minibatch_of_two_processes_can_be_carried_on_by_one():
    state = results(MODULE, "resumed")[0]["state"]
    env = cells.make(False, exact=False, rho=0.3)
    observation, info = env.load_state_dict(state)
    assert observation in env.observation_space
    assert info["updates"] == 2
    env.step(observation["task"])


def test_a_loss_that_is_no_number_in_one_process_fails_in_all():
    first, second = results(MODULE, "failing")
    assert first["failure"] == first["failed"] == second["failed"] == "the loss of task0 is nan"
    assert first["updates"] == 3
    assert not first["moved"]
    assert not first["is_open"]
    assert same(first["model"], second["model"])


def test_what_cannot_be_shared_is_refused():
    first, second = results(MODULE, "mistaken")
    assert same(first["model"], second["model"])


def test_a_single_process_cannot_follow():
    env = RoutingVectorEnv(problem(), 6, **SMALL)
    with pytest.raises(RuntimeError, match="rank above 0"):
        env.follow()
    env.close()
    env.close()
