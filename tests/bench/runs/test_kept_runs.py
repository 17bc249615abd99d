"""What a run leaves for other tools: SB3's monitor, TensorBoard, W&B, and the agent."""

import json

import numpy as np
import pytest
import torch
from stable_baselines3.common.monitor import load_results
from stable_baselines3.common.results_plotter import ts2xy

from mtlgym import agents
from mtlgym.bench.runs.cell import AGENT, LOG, Cell
from mtlgym.bench.runs.checkpoints import CHECKPOINT
from mtlgym.bench.runs.loggers import Loggers, flat
from mtlgym.bench.runs.logs import MONITOR
from mtlgym.bench.runs.run import run_cell
from mtlgym.cli.main import main
from mtlgym.io import checkpoint, jsonl

QM9, BANDIT = "MTL-QM9-Mini-v0", "MTL-Bandit-v0"
SAC = "igbv2:update_epoch=1,use_epoch=1,update_every=2,updates=1,batch_size=4"
TINY = {"batch_size": 1000, "epochs": 4, "dim": 4, "edge_hidden": 2}
SETTINGS = [f"{key}={value}" for key, value in TINY.items()]


def test_stable_baselines3_reads_a_run(tmp_path):
    cell = Cell(QM9, SAC, 0, TINY)
    run_cell(cell, tmp_path)
    frame, rows = load_results(str(tmp_path)), jsonl.read(tmp_path / LOG)
    assert len(frame) == len(rows) == 4
    assert frame["l"].tolist() == [8] * 4
    assert np.allclose(frame["r"], [8 * row["reward"] for row in rows], atol=1e-5)
    assert (np.diff(frame["t"]) > 0).all()
    assert ts2xy(frame, "timesteps")[0].tolist() == [8, 16, 24, 32]


def test_the_monitor_of_a_run_that_goes_on_is_that_of_one_that_did_not_stop(tmp_path):
    class Stopped(Exception):
        pass

    def stop(run):
        if run.step == 19:
            raise Stopped

    cell = Cell(QM9, "equal", 0, TINY)
    with pytest.raises(Stopped):
        run_cell(cell, tmp_path, stop, checkpoint_every=5)
    run_cell(cell, tmp_path, checkpoint_every=5)
    assert load_results(str(tmp_path))["l"].tolist() == [8] * 4
    (tmp_path / MONITOR).unlink()
    (tmp_path / "result.json").unlink()
    run_cell(cell, tmp_path)  # it is made anew, without the rows that were lost
    assert (tmp_path / MONITOR).exists()


def test_train_logs_to_tensorboard_and_wandb_and_keeps_its_agent(tmp_path, capsys):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    arguments = ["train", "--env", QM9, "--agent", SAC, "--out", str(tmp_path)]
    code = main([*arguments, "--log", "tensorboard", "wandb", "--set", *SETTINGS])
    assert code == 0
    assert json.loads(capsys.readouterr().out)["agent"] == SAC
    folder = Cell(QM9, SAC, 0, TINY).folder(tmp_path)
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    rows = jsonl.read(folder / LOG)
    scores = [(each.step, each.value) for each in events.Scalars("score")]
    assert [step for step, _ in scores] == [row["step"] for row in rows]
    assert np.allclose([x for _, x in scores], [row["score"] for row in rows])
    assert "losses/mu" in events.Tags()["scalars"]
    assert list(folder.glob("wandb/offline-run-*/run-*.wandb"))
    agent = agents.load(folder / AGENT)
    assert agent.gradient_steps > 0


def test_a_kept_policy_decides_in_another_run_and_learns_nothing(tmp_path, capsys):
    out = ["--out", str(tmp_path), "--set", *SETTINGS]
    assert main(["train", "--env", QM9, "--agent", SAC, *out]) == 0
    capsys.readouterr()
    policy = Cell(QM9, SAC, 0, TINY).folder(tmp_path) / AGENT
    assert main(["train", "--env", QM9, "--seed", "1", "--policy", str(policy), *out]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["policy"]["path"] == str(policy)
    assert found["agent"] == SAC
    own = Cell(QM9, SAC, 1, TINY, policy=found["policy"])
    weights = [row["weights"] for row in jsonl.read(own.folder(tmp_path) / LOG)]
    assert np.ptp(weights) > 0
    learnt = agents.load(policy).state_dict()["sac"]["policy"]
    state = checkpoint.load(own.folder(tmp_path) / CHECKPOINT)["agent"]["sac"]["policy"]
    assert all(torch.equal(learnt[name], state[name]) for name in learnt)  # it learnt nothing
    assert main(["train", "--env", "MTL-Rooms-v0", "--policy", str(policy), *out[:2]]) == 1
    assert "but the environment has" in capsys.readouterr().err


def test_a_kept_routing_policy_is_measured_by_its_own_routes(tmp_path, capsys):
    env, options = "MTL-Emoji-Routing-v0", ["epochs=1", "batch_size=128"]
    out = ["--out", str(tmp_path), "--set", *options]
    assert main(["train", "--env", env, "--agent", "wpl", *out]) == 0
    first = json.loads(capsys.readouterr().out)
    cell = Cell(env, "wpl", 0, {"epochs": 1, "batch_size": 128})
    policy = str(cell.folder(tmp_path) / AGENT)
    assert main(["train", "--env", env, "--policy", policy, *out]) == 0
    found = json.loads(capsys.readouterr().out)
    assert np.array(found["policies"]).shape[1:] == np.array(first["policies"]).shape[1:]
    assert np.ptp(np.array(found["policies"]), axis=0).max() == 0  # its policy stands still


def test_a_damaged_kept_agent_is_written_anew(tmp_path, capsys):
    arguments = ["train", "--env", BANDIT, "--agent", "exp3s", "--out", str(tmp_path)]
    assert main([*arguments, "--set", "steps=20"]) == 0
    folder = Cell(BANDIT, "exp3s", 0, {"steps": 20}).folder(tmp_path)
    whole = (folder / AGENT / "agent.json").read_bytes()
    (folder / AGENT / "agent.json").write_bytes(whole[:-5])
    with pytest.warns(UserWarning, match=r"agent\.json is damaged"):
        assert main([*arguments, "--set", "steps=20"]) == 0
    assert (folder / AGENT / "agent.json").read_bytes() == whole
    (folder / AGENT / "agent.json").unlink()
    (folder / CHECKPOINT).write_bytes(b"")
    capsys.readouterr()
    assert main([*arguments, "--set", "steps=20"]) == 1  # no agent of an earlier moment is kept
    assert CHECKPOINT in capsys.readouterr().err


def test_a_zip_of_others_is_opened_with_trust_alone(tmp_path, capsys):
    import gymnasium as gym
    from stable_baselines3 import SAC as Algorithm

    options: dict = TINY
    env = gym.make(f"mtlgym:{QM9}", **options)
    path = tmp_path / "model.zip"
    Algorithm("MlpPolicy", env, buffer_size=10).save(path)
    arguments = ["train", "--env", QM9, "--policy", str(path), "--out", str(tmp_path)]
    assert main([*arguments, "--set", *SETTINGS]) == 1
    assert "--trust" in capsys.readouterr().err
    assert main([*arguments, "--trust", "--set", *SETTINGS]) == 0
    assert json.loads(capsys.readouterr().out)["agent"] == "sb3"


def test_a_logger_without_its_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("mtlgym.bench.runs.loggers.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install mtlgym\[loggers\]"):
        Loggers(["wandb"])


def test_an_unknown_logger_is_refused_by_name():
    with pytest.raises(ValueError, match="Did you mean 'tensorboard'"):
        Loggers(["tensorbord"])


def test_a_row_is_flat_numbers_by_name():
    row = {"step": 3, "losses": [1.0, 2.0], "validation": {"a/mae": 0.5, "b/mae": None}, "x": None}
    found = dict(flat({**row, "failure": ""}, ("a", "b")))
    assert found == {"step": 3.0, "losses/a": 1.0, "losses/b": 2.0, "validation/a/mae": 0.5}
