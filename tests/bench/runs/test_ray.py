"""Sweeps on a cluster: lost nodes, and results equal to those of one process."""

import json
import subprocess
import sys

import pytest

from mtlgym.bench.runs.backends import ray
from tests import ROOT, module_command

pytest.importorskip("ray", reason="Ray is not installed")


def test_a_sweep_that_loses_a_node_finishes_with_the_results_of_one_process(tmp_path):
    """Two nodes, one removed while runs are under way; environments work in its processes too."""
    command = module_command("tests.bench.runs.ray_sweep", tmp_path)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-5000:]
    found = json.loads(done.stdout)
    assert found["nodes"] == 1
    assert found["finished_before"][0] < 4  # it was in mid-sweep
    assert len(found["ray"]) == 4
    assert found["ray"] == found["local"]
    assert found["same_logs"]
    assert found["rewards"][0] == found["rewards"][1]


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install mtlgym\[ray\]"):
        next(ray.on_ray({}, 500, 1, 0))
