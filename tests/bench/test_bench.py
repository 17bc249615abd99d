"""Cells: runs that survive, and what is made of their results."""

import numpy as np
import pytest

from mtlgym import agents
from mtlgym.bench.runs.cell import LOG, RESULT, Cell
from mtlgym.bench.runs.checkpoints import CHECKPOINT
from mtlgym.bench.runs.run import run_cell
from mtlgym.io import checked_json, jsonl
from mtlgym.report.measures import Measure
from mtlgym.report.run_tables import RunTable

ENV = "MTL-QM9-Mini-v0"
TINY = {"batch_size": 500, "epochs": 8, "dim": 4, "edge_hidden": 2}


def test_rows_are_read_as_written_and_a_cut_line_is_left_out(tmp_path):
    log = jsonl.Log(tmp_path / "log")
    for k in range(3):
        log.write({"k": k})
    assert jsonl.read(tmp_path / "log") == [{"k": 0}, {"k": 1}, {"k": 2}]
    raw = (tmp_path / "log").read_bytes()
    (tmp_path / "log").write_bytes(raw[:-3])
    with pytest.warns(UserWarning, match="cut short"):
        assert jsonl.read(tmp_path / "log") == [{"k": 0}, {"k": 1}]
    (tmp_path / "log").write_bytes(b"{]\n" + raw)
    with pytest.raises(ValueError, match="line 1"):
        jsonl.read(tmp_path / "log")


def test_a_log_that_goes_on_drops_what_stands_behind_its_position(tmp_path):
    log = jsonl.Log(tmp_path / "log")
    log.write({"k": 0})
    size = log.size
    log.write({"k": 1})
    jsonl.Log(tmp_path / "log", size).write({"k": 2})
    assert jsonl.read(tmp_path / "log") == [{"k": 0}, {"k": 2}]


@pytest.mark.parametrize("agent", ["equal", "dwa:window=2", "famo", "igbv2", "uniform"])
def test_every_kind_of_agent_runs_to_its_result(agent, tmp_path):
    cell = Cell(ENV, agent, 0, TINY | {"epochs": 1})
    result = run_cell(cell, tmp_path)
    assert result["steps"] == 16
    assert result["failure"] == ""
    assert result["data"] == "embedded"
    assert set(result["test"]) == set(result["units"])
    assert len(jsonl.read(tmp_path / LOG)) == 1
    assert checked_json.read(tmp_path / RESULT) == result
    assert run_cell(cell, tmp_path) == result  # finished, so it is only read


def test_every_loss_method_is_an_agent():
    from mtlgym.balancing import LOSS_METHODS

    for name in LOSS_METHODS:
        spec = "fixed:weights=[1,2]" if name == "fixed" else name
        assert agents.environment_options(spec)["actions"] == "weights"


def test_a_folder_of_another_run_is_refused(tmp_path):
    run_cell(Cell(ENV, "equal", 0, TINY | {"epochs": 1}), tmp_path)
    with pytest.raises(ValueError, match="holds another run"):
        run_cell(Cell(ENV, "equal", 1, TINY | {"epochs": 1}), tmp_path)


def test_a_cell_of_another_version_or_protocol_is_not_taken_for_this_one(tmp_path, monkeypatch):
    cell = Cell(ENV, "equal", 0, TINY | {"epochs": 1})
    run_cell(cell, tmp_path)
    monkeypatch.setattr("mtlgym.bench.runs.cell.__version__", "9.9")
    with pytest.raises(ValueError, match=r"version: '0.1.0' there, '9.9' here"):
        run_cell(cell, tmp_path)


def test_a_finished_run_whose_result_is_lost_is_measured_again(tmp_path):
    cell = Cell(ENV, "equal", 0, TINY | {"epochs": 1})
    first = run_cell(cell, tmp_path)
    (tmp_path / RESULT).unlink()
    assert run_cell(cell, tmp_path) == first


@pytest.mark.parametrize("name", [RESULT, "settings.json"])
def test_a_file_that_is_cut_short_is_named_and_made_again(name, tmp_path):
    cell = Cell(ENV, "equal", 0, TINY | {"epochs": 1})
    first = run_cell(cell, tmp_path)
    (tmp_path / name).write_text("{")
    with pytest.warns(UserWarning, match=f"{name} is damaged"):
        assert run_cell(cell, tmp_path) == first
    assert checked_json.read(tmp_path / name)


def test_options_that_an_agent_contradicts_are_refused(tmp_path):
    with pytest.raises(ValueError, match="`transform` must be 'none' for agent 'uw'"):
        run_cell(Cell(ENV, "uw", 0, {"transform": "log"}), tmp_path)


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(tmp_path):
    cell = Cell(ENV, "igbv2", 0, TINY | {"epochs": 2})
    whole = run_cell(cell, tmp_path, checkpoint_every=5)
    (tmp_path / RESULT).unlink()
    raw = bytearray((tmp_path / CHECKPOINT).read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / CHECKPOINT).write_bytes(raw)
    first = []
    with pytest.warns(UserWarning, match=f"{CHECKPOINT} is passed over"):
        again = run_cell(cell, tmp_path, lambda run: first.append(run.step), checkpoint_every=5)
    assert first == [31, 32]
    assert {**again, "seconds": 0} == {**whole, "seconds": 0}


def test_the_checkpoint_of_another_cell_is_passed_over_by_name(tmp_path):
    one, other = (Cell(ENV, "equal", seed, TINY | {"epochs": 1}) for seed in (0, 1))
    run_cell(one, tmp_path / "one")
    first = run_cell(other, tmp_path / "other")
    (tmp_path / "other" / RESULT).unlink()
    (tmp_path / "one" / CHECKPOINT).replace(tmp_path / "other" / CHECKPOINT)
    with pytest.warns(UserWarning, match="it is the checkpoint of another run"):
        again = run_cell(other, tmp_path / "other")
    assert {**again, "seconds": 0} == {**first, "seconds": 0}


def test_an_interval_is_student_s():
    values = [1.0, 2.0, 4.0]
    # by the table: t(0.975, 2) = 4.30265; s = 1.52753
    assert Measure.of(values).mean == pytest.approx(7 / 3)
    assert Measure.of(values).half_width == pytest.approx(4.30265 * 1.52753 / 3**0.5, rel=1e-5)
    assert np.isnan(Measure.of([1.0]).half_width)


def result(agent, seed, seconds, delta_m, failure="", env=ENV, data="embedded"):
    return {
        "env": env,
        "agent": agent,
        "seed": seed,
        "options": {},
        "data": data,
        "baseline": "somewhere",
        "delta_m": delta_m,
        "test": {"mu/mae": delta_m / 10},
        "units": {"mu/mae": "D"},
        "higher_is_better": {"mu/mae": False},
        "seconds": seconds,
        "failure": failure,
    }


def test_the_table_gives_means_and_times_relative_to_equal_weights():
    results = [
        result("equal", 0, 10.0, 50.0),
        result("equal", 1, 30.0, 70.0),
        result("uw", 0, 30.0, 40.0),
        result("uw", 1, 50.0, 20.0, failure="the loss of mu is nan"),
    ]
    table = RunTable.of(results)
    assert list(table.found) == ["uw", "equal"]
    assert table.found["uw"]["delta_m"].mean == 30.0
    assert table.found["uw"]["T"].mean == 2.0
    assert [bool(run.result["failure"]) for run in table.section.agents["uw"]] == [False, True]
    text = table.markdown()
    assert "uw (1 failed)" in text
    assert "mu/mae [D]" in text
    assert "95 % interval" in text
    assert table.csv().count("\n") == 3


def test_embedded_data_never_stand_beside_published_figures_unmarked():
    results = [result("equal", 0, 1.0, 1.0, env="MTL-QM9-v0")]
    assert "not comparable with published" in RunTable.of(results).caption
    real = [result("equal", 0, 1.0, 1.0, env="MTL-QM9-v0", data="real")]
    assert "not comparable" not in RunTable.of(real).caption


def test_a_read_only_or_full_folder_is_an_error_that_names_it(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OSError, match="file"):
        run_cell(Cell(ENV, "equal", 0, TINY), blocked / "x")
