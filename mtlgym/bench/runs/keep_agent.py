"""Saves the agent of a finished run, for use in other environments and training loops."""

import warnings
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from mtlgym import agents
from mtlgym.bench.runs import checkpoints
from mtlgym.bench.runs.backends import signals
from mtlgym.bench.runs.cell import AGENT, RESULT, Cell
from mtlgym.bench.runs.factory import make
from mtlgym.io import checked_json, checkpoint
from mtlgym.io.lock import held


def keep(cell: Cell, folder: Path) -> Path:
    """Save the agent, as it was at the end of the run, to a folder in the run's; return the folder.

    Raises:
        ValueError: if the last checkpoint is not there or not whole.
    """
    path = folder / AGENT
    with held(folder, signals.obey):
        if _is_kept(path):
            return path
        alone = {key: value for key, value in cell.options.items() if key != "distributed"}
        env, agent, _ = make(replace(cell, options=alone))
        with closing(env):
            agent.load_state_dict(_last(cell, folder))
            agents.save(path, agent, spec=cell.agent, seed=cell.seed, env=env)
    return path


def _is_kept(path: Path) -> bool:
    try:
        agents.load(path)
    except FileNotFoundError:
        return False
    except ValueError as error:
        warnings.warn(f"{error}; it is written anew", UserWarning, stacklevel=3)
        return False
    return True


def _last(cell: Cell, folder: Path) -> dict[str, Any]:
    """The agent's state in the checkpoint of the run's end."""
    path = folder / checkpoints.CHECKPOINT
    if not path.exists():
        raise ValueError(f"the run is finished, but {path} is gone, which the agent was in")
    state = checkpoint.load(path)
    steps = checked_json.read(folder / RESULT)["steps"]
    if state["cell"] != cell.describe() or state["step"] != steps:
        raise ValueError(f"{path} is not of the end of this run")
    return state["agent"]
