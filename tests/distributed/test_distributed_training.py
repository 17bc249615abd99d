"""Training environments in two processes behave as in one."""

import os
import runpy
import subprocess
import sys

import numpy as np
import pytest
import torch

from mtlgym.distributed.process_group import VARIABLES, TrainingGroup
from mtlgym.envs.training.env import TrainingEnv
from mtlgym.randomness import SAMPLES, derive
from mtlgym.training.feed import Feed
from mtlgym.training.hardware import Hardware
from mtlgym.training.options import Training
from tests import ROOT
from tests.distributed import distributed_cells as cells
from tests.distributed.distributed_toys import exact, make
from tests.distributed.distributed_work import results, same
from tests.envs.training.toy import toy

MODULE = "tests.distributed.distributed_cells"
EXAMPLE = ROOT / "examples" / "15_data_parallel.py"


@pytest.mark.parametrize("name", cells.EQUAL)
def test_two_processes_train_as_one_does(name):
    first, second = results(MODULE, name)
    alone = cells.EQUAL["equal weights" if name == "carried on" else name].alone()
    if name == "carried on":
        alone = trace_of_rest()
    assert len(first["rows"]) >= 3
    torch.testing.assert_close(first["rows"], alone["rows"], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(first["parameters"], alone["parameters"], rtol=1e-12, atol=1e-12)
    assert same(first["model"], second["model"])


def trace_of_rest():
    alone = cells.plain(make(False, actions="weights"))
    return {**alone, "rows": alone["rows"][7:, :3]}


@pytest.mark.parametrize("name", cells.FAILING)
def test_a_fault_in_one_process_is_the_failure_of_all(name):
    first, second = results(MODULE, name)
    assert first["failure"] == first["failed"] == second["failed"] != ""
    kind = "weighted gradient of middle is not finite" if "gradient" in name else "loss of middle"
    assert first["failure"].startswith(f"the {kind}")
    assert first["reward"] == -1.0
    assert first["steps"] == (0 if "first" in name or "once" in name else 3)
    assert first["moved"] == (name == "loss")  # which is seen after the step before was made
    assert same(first["model"], second["model"])
    assert all(value.isfinite().all() for value in second["model"].values())


@pytest.mark.parametrize("name", ["resumed", "resumed nash"])
def test_a_run_goes_on_from_a_checkpoint_bit_for_bit(name):
    first, second = results(MODULE, name)
    assert first["resumed"] == first["whole"]
    assert same(first["model"], second["model"])  # running statistics too


def test_a_run_of_two_processes_can_be_carried_on_by_one():
    state = results(MODULE, "resumed")[0]["state"]
    env = cells.rough(False)
    observation, info = env.load_state_dict(state)
    assert observation in env.observation_space
    assert info["step"] == 7
    assert not env.step(env.action_space.sample())[2]


def feed(split, rank=None, batch_size=10):
    """The batches of a process of two, or of one."""
    group = None
    if rank is not None:
        group = object.__new__(TrainingGroup)
        group.rank, group.size = rank, 2
    return Feed(split, Training(batch_size=batch_size), 3, group)


@pytest.mark.parametrize(("size", "scales"), [(40, [1, 1]), (43, [4 / 3, 2 / 3]), (41, [2, 0])])
def test_the_processes_shares_make_up_the_batch(size, scales):
    split = exact(size=size).splits["train"]
    whole = feed(split)
    parts = [feed(split, rank) for rank in range(2)]
    for k in range(5):
        x, _ = whole.share(0, k).batch
        shares = [part.share(0, k) for part in parts]
        for rank, share in enumerate(shares):
            assert torch.equal(share.batch[0], x[rank::2] if len(x) > rank else x[:1])
    assert [float(share.scale) for share in shares] == scales  # of the last batch
    assert whole.share(0, 0).scale is None


def test_only_the_first_process_draws_what_one_would():
    split = toy().splits["train"]
    noises = [feed(split, rank, 40).share(0, 0).batch[0] for rank in (0, 1)]
    order = feed(exact(size=40).splits["train"], batch_size=40)
    clean = order.share(0, 0).batch[0].float()
    first, second = (noise - clean[rank::2] for rank, noise in enumerate(noises))
    alone = torch.randn(20, 4, generator=torch.Generator().manual_seed(derive(3, SAMPLES, 0, 0)))
    torch.testing.assert_close(first, 0.01 * alone, rtol=1e-3, atol=1e-5)
    assert not torch.allclose(first, second, atol=1e-3)


def test_an_agent_of_stable_baselines3_trains_in_the_first_process():
    first, second = results(MODULE, "sac")
    assert first["steps"] == 30
    assert same(first["model"], second["model"])


def test_an_error_in_one_process_is_raised_in_the_first_and_named():
    first, second = results(MODULE, "interrupted")
    assert first["error"] == (
        "PartnerError: process 1 of 2 failed: RuntimeError('a cable came loose')"
    )
    assert "distributed_toys.py" in first["notes"]  # the other process's traceback
    assert same(first["model"], second["model"])  # after the run that followed


@pytest.mark.parametrize("name", ["mistaken", "closed", "led astray"])
def test_what_cannot_work_is_refused_and_leaves_the_processes_in_step(name):
    first, second = results(MODULE, name)
    assert same(first["model"], second["model"])


def test_a_process_that_was_not_started_by_torchrun_is_told_what_is_missing(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(
        ValueError, match=r"torchrun .* WORLD_SIZE, MASTER_ADDR, MASTER_PORT is mis"
    ):
        TrainingEnv(toy(), distributed=True)


def test_strategies_that_cannot_be_averaged_are_refused_by_name():
    with pytest.raises(ValueError, match="strategy 'layers' cannot average"):
        TrainingEnv(toy(), distributed=True, aggregator="nash", jacobian="layers")


def test_a_graphics_card_is_the_process_s_own(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "113")
    with pytest.raises(ValueError, match="'cuda:113'"):
        Hardware("cuda", distributed=True)


def test_a_real_torchrun_runs_the_example(tmp_path, capsys):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        [*command, str(EXAMPLE)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("mean loss") == 1
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert done.stdout == capsys.readouterr().out  # as by plain python


def test_a_single_process_cannot_follow():
    env = TrainingEnv(toy())
    with pytest.raises(RuntimeError, match="rank above 0"):
        env.follow()
    env.reset(seed=0)
    env.close()
    assert np.isfinite(env.reset(seed=0)[0]).all()
