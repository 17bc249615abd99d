"""Sweeps that are killed, stopped, starved of disk or damaged go on to the same results."""

import contextlib
import json
import re
import subprocess

import numpy as np
import pytest

from mtlgym.bench.runs import checkpoints
from mtlgym.bench.runs.cell import DECISIONS, LOG, RESULT, SETTINGS, Cell
from mtlgym.bench.runs.checkpoints import CHECKPOINT, PREVIOUS
from mtlgym.bench.runs.results import read_finished
from mtlgym.bench.runs.run import run_cell
from mtlgym.io import checked_json, checkpoint, jsonl
from tests import ROOT, module_command
from tests.bench.runs.killed_sweep import EVERY

BANDIT = Cell("MTL-Bandit-v0", "exp3s", 0, {"steps": 30})


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """What the script prints of its three parts, and what it says on standard error."""
    out = tmp_path_factory.mktemp("sweeps")
    command = module_command("tests.bench.runs.killed_sweep", out)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "said": done.stderr}


def test_a_sweep_that_is_killed_at_twenty_moments_ends_as_if_it_had_not_been(played):
    """In steps, in files half written and between renamings, by SIGKILL; equal by hash."""
    found = played["killed"]
    assert found["kills"] == 20
    assert {found["undisturbed"], *found["last"]} == {0}
    assert all(each == found["wanted"] for each in found["found"])
    assert found["drafts"] == []  # nothing half written is left


def test_ctrl_c_and_sigterm_write_a_checkpoint_and_have_exit_codes_of_their_own(played):
    found = played["stopped"]
    assert found["codes"] == [130, 143]
    assert found["last"] == 0
    assert found["steps"]
    assert all(steps % EVERY for steps in found["steps"])  # no regular checkpoint was due


def test_a_full_disk_is_an_error_that_says_so_and_the_last_checkpoint_is_whole(played):
    found = played["full"]
    assert found["code"] == 1
    assert "1 of 4 runs failed" in played["said"]
    assert "File too large" in played["said"]
    assert f"{checkpoints.NEXT}'" in played["said"]
    assert found["kept"] == 4  # that of the run that failed too
    assert found["last"] == 0
    assert found["found"] == played["killed"]["wanted"]


FILES = (CHECKPOINT, PREVIOUS, DECISIONS, LOG, RESULT, SETTINGS)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run's files, and what its result is."""
    folder = BANDIT.folder(tmp_path_factory.mktemp("finished"))
    result = run_cell(BANDIT, folder, checkpoint_every=10)
    return {name: (folder / name).read_bytes() for name in FILES}, result


@pytest.mark.parametrize("harm", ["flipped", "cut"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named_and_the_run_ends_the_same(name, harm, finished, tmp_path):
    """The file that is harmed first, then the one that must stand in for it, at many places."""
    contents, result = finished
    rng = np.random.default_rng([FILES.index(name), harm == "cut"])
    size = len(contents[name])
    for place in sorted({0, size - 1, *rng.integers(size, size=10).tolist()}):
        folder = BANDIT.folder(tmp_path / str(place))
        folder.mkdir(parents=True)
        for other, content in contents.items():
            (folder / other).write_bytes(content)
        if name != RESULT:
            (folder / RESULT).unlink()  # then the run goes on from its checkpoints
        (folder / name).write_bytes(harmed(contents[name], place, harm))
        with warned(name, spare=name == PREVIOUS):
            again = run_cell(BANDIT, folder, checkpoint_every=10)
        assert {**again, "seconds": 0} == {**result, "seconds": 0}
        assert checked_json.read(folder / SETTINGS)


def warned(name, spare):
    """A warning names the file; none is due for one that nothing was read of."""
    return contextlib.nullcontext() if spare else pytest.warns(UserWarning, match=re.escape(name))


def harmed(content, place, harm):
    if harm == "cut":
        return content[:place]
    return content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]


def test_with_the_newest_checkpoint_damaged_the_one_before_it_is_used(finished, tmp_path):
    contents, _ = finished
    for name in (CHECKPOINT, PREVIOUS):
        raw = contents[name]
        for place in np.random.default_rng(0).integers(len(raw), size=200):
            (tmp_path / name).write_bytes(harmed(raw, int(place), "flipped"))
            with pytest.raises(ValueError, match=re.escape(name)):
                checkpoint.load(tmp_path / name)
    (tmp_path / PREVIOUS).write_bytes(contents[PREVIOUS])
    with pytest.warns(UserWarning, match=f"{CHECKPOINT} is passed over"):
        found = checkpoints.newest(tmp_path, lambda state: state["traces"]["rows"])
    assert found == 20


def test_a_report_leaves_out_what_is_damaged_and_a_cut_last_line(tmp_path):
    other = Cell("MTL-Bandit-v0", "exp3s", 1, {"steps": 30})
    for cell in (BANDIT, other):
        run_cell(cell, cell.folder(tmp_path))
    assert [run.result["seed"] for run in read_finished(tmp_path)] == [0, 1]
    folder = BANDIT.folder(tmp_path)
    raw = (folder / LOG).read_bytes()
    (folder / LOG).write_bytes(raw[:-3])
    with pytest.warns(UserWarning, match="last line is cut short"):
        assert len(jsonl.read(folder / LOG)) == raw.count(b"\n") - 1
    with pytest.warns(UserWarning, match=f"{LOG} is missing or damaged"):
        assert read_finished(tmp_path)[0].log() == []
    (folder / RESULT).write_bytes(b"{}")
    with pytest.warns(UserWarning, match=f"{RESULT} is damaged"):
        assert [run.result["seed"] for run in read_finished(tmp_path)] == [1]
