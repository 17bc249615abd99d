"""A sweep on a Ray cluster of two nodes, one of which is removed: run as a script, prints JSON."""

import contextlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import gymnasium as gym
import ray
import torch
from ray.cluster_utils import Cluster

import mtlgym
from mtlgym.bench.runs.backends.backends import run_cells
from mtlgym.bench.runs.cell import DECISIONS, LOG, Cell
from mtlgym.bench.runs.checkpoints import CHECKPOINT
from mtlgym.bench.runs.execution import Execution

STEPS = 800
CELLS = [
    *(Cell("MTL-Bandit-v0", "exp3s", seed, {"steps": STEPS}) for seed in range(3)),
    Cell(
        "MTL-QM9-Mini-v0", "igbv2", 0, {"batch_size": 1000, "dim": 4, "edge_hidden": 2, "steps": 9}
    ),
]


def swept(out: Path, backend: str) -> list:
    how = Execution(checkpoint_every=50, backend=backend)
    return run_cells([(cell, cell.folder(out)) for cell in CELLS], how)


def remove_in_the_middle(cluster: Cluster, node: Any, out: Path, removed: list) -> None:
    """Wait until two runs are under way, one a node, and take a node away."""
    while len(list(out.glob(f"MTL-Bandit-v0/cells/*/{CHECKPOINT}"))) < 2:
        time.sleep(0.05)
    removed.append(len(list(out.glob("*/cells/*/result.json"))))
    cluster.remove_node(node, allow_graceful=False)


def logs(out: Path) -> list:
    folders = [cell.folder(out) for cell in CELLS]
    paths = [folder / name for folder in folders for name in (LOG, DECISIONS)]
    return [path.read_bytes() for path in paths if path.exists()]


@ray.remote
def stepped() -> list:
    """An environment in a process of Ray's."""
    return rewards()


def rewards() -> list:
    env = gym.make("mtlgym:MTL-Bandit-v0", steps=10)
    env.reset(seed=0)
    return [env.step(k % 8)[1] for k in range(10)]


def main(out: Path) -> dict:
    torch.set_num_threads(1)  # as in tasks of Ray: sums over threads round differently
    cluster = Cluster(True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    node = cluster.add_node(num_cpus=1)
    removed: list[int] = []
    ray.init(cluster.address, log_to_driver=False)
    there = ray.get(stepped.remote())
    killer = threading.Thread(
        target=remove_in_the_middle, args=(cluster, node, out / "ray", removed), daemon=True
    )
    killer.start()
    results = swept(out / "ray", "ray")
    killer.join(timeout=60)
    nodes = len(cluster.list_all_nodes())
    ray.shutdown()
    cluster.shutdown()
    return {
        "finished_before": removed,
        "nodes": nodes,
        "ray": [{**each, "seconds": 0} for each in results],
        "local": [{**each, "seconds": 0} for each in swept(out / "local", "local")],
        "same_logs": logs(out / "ray") == logs(out / "local"),
        "rewards": [there, rewards()],
        "version": mtlgym.__version__,
    }


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        found = main(Path(sys.argv[1]))
    print(json.dumps(found))
