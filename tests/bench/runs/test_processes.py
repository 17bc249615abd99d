"""Sweeps in several processes of which some die, and folders that two want."""

import os
import signal
import subprocess
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
from filelock import FileLock

from mtlgym.bench.runs.backends import processes, signals
from mtlgym.bench.runs.cell import RESULT, SETTINGS, Cell
from mtlgym.bench.runs.run import run_cell
from mtlgym.io import checked_json, lock
from mtlgym.io.lock import LOCK
from tests import ROOT, module_command
from tests.bench.runs.sweep_worker import CELLS

BANDIT = Cell("MTL-Bandit-v0", "uniform", 0, {"steps": 5})


def played(what, out):
    """The script's exit code, and the workers that it says it had."""
    command = module_command("tests.bench.runs.sweep_worker", what, out)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    return done.returncode, [int(pid) for pid in done.stdout.split()]


def results(out):
    found = [checked_json.read(cell.folder(out) / RESULT) for cell in CELLS]
    return [{**each, "seconds": 0} for each in found]


def gone(pids):
    """Whether these processes have ended within some seconds."""
    for _ in range(200):
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.1)
    return False


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    return [{**run_cell(cell, cell.folder(out)), "seconds": 0} for cell in CELLS]


def test_a_worker_that_is_killed_is_replaced_and_its_run_goes_on(tmp_path, wanted):
    assert played("kill a worker", tmp_path)[0] == 0
    assert results(tmp_path) == wanted


def test_ctrl_c_ends_the_workers_after_checkpoints_and_no_process_of_others(tmp_path):
    code, workers = played("interrupt", tmp_path)
    assert code == 130
    assert gone(workers)
    assert len(list(tmp_path.glob(f"*/cells/*/{RESULT}"))) < len(CELLS)  # one had just begun


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_workers_of_a_parent_that_was_killed_end_and_the_next_sweep_goes_on(tmp_path, wanted):
    code, workers = played("die", tmp_path)
    assert code == -signal.SIGKILL
    assert len(workers) >= 2
    assert played("nothing", tmp_path)[0] == 0
    assert results(tmp_path) == wanted
    assert gone(workers)


def test_a_cell_that_kills_its_workers_fails_alone(monkeypatch, tmp_path):
    tried = []

    def pool(places, checkpoint_every, jobs):
        tried.append(sorted(places))
        for index in sorted(places):
            if index == 1:
                raise BrokenProcessPool("killed")
            yield index, {"index": index}

    monkeypatch.setattr(processes, "_one_pool", pool)
    places = {index: (BANDIT, tmp_path / str(index)) for index in range(3)}
    found = dict(processes.in_processes(places, 500, 2, retries=1))
    assert isinstance(found.pop(1), BrokenProcessPool)
    assert found == {0: {"index": 0}, 2: {"index": 2}}
    assert tried == [[0, 1, 2], [1, 2], [1, 2], [1], [2]]


def test_a_folder_in_use_is_waited_for_with_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE", 0.01)
    other = FileLock(tmp_path / LOCK)
    with other, pytest.warns(UserWarning, match="is in use by another process"):
        monkeypatch.setattr(signals, "asked", lambda: signal.SIGTERM)
        with pytest.raises(signals.InterruptedRunError, match="signal 15"):
            run_cell(BANDIT, tmp_path)
    monkeypatch.undo()
    assert run_cell(BANDIT, tmp_path)["steps"] == 5


def test_a_second_ctrl_c_does_not_wait_for_a_checkpoint():
    with signals.caught():
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.asked() == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signals.asked() is None


def test_a_run_begun_by_other_versions_goes_on_with_a_warning(tmp_path):
    run_cell(BANDIT, tmp_path)
    (tmp_path / RESULT).unlink()
    said = checked_json.read(tmp_path / SETTINGS)
    said["versions"]["torch"] = "1.0"
    checked_json.write(tmp_path / SETTINGS, said)
    with pytest.warns(UserWarning, match=r"was begun by other versions: torch 1\.0"):
        run_cell(BANDIT, tmp_path)
