"""Agents that are kept: a folder with what they have learnt, which another process goes on with.

`agent.json` says what the agent is, how its state is nested, and the SHA-256 of the tensors' file,
`agent-` and the beginning of that SHA-256. It is replaced last, so at every moment the folder holds
one agent whole, an older one or the newer. There is no pickle in it.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import safetensors.torch

from mtlgym import __version__
from mtlgym.agents import AGENTS, Agent
from mtlgym.agents import spec as specs
from mtlgym.agents.saving import spaces
from mtlgym.agents.saving.environment import origin
from mtlgym.io import checked_json
from mtlgym.io import state as nested
from mtlgym.io.atomic import write_atomically

FORMAT, VERSION = "mtlgym agent", 1
JSON = "agent.json"
SOURCES = ("log",)  # settings that a policy starts from: what came of them is in its state
STRANGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)  # what a state that was made up leads to


def save(
    path: str | os.PathLike[str],
    agent: Any,
    *,
    spec: str,
    seed: int | None = None,
    env: Any = None,
) -> None:
    """Keep an agent, with all that it has learnt, in a folder.

    An agent that is there already stays whole until this one is, and is then replaced.

    Args:
        path: the folder; made if it is not there.
        agent: one that `mtlgym.agents.make` could have made.
        spec: the text that makes it: "igbv2+nash", "exp3s:eta=0.01", "dwa".
        seed: the seed that it was made with.
        env: the environment that it was trained in, for `method` and for the reader: its id and
            options, its tasks, and what its actions and observations mean are written down.

    Raises:
        ValueError: if the spec or the seed does not make such an agent, or one of its spaces cannot
            be kept.
        OSError: if the files cannot be written; the agent that was there is untouched.
    """
    kind = specs.read(spec).agent
    if type(agent) is not resolve_name(AGENTS[kind].path):
        raise ValueError(f"`spec` {spec!r} makes no {type(agent).__name__}, which `agent` is")
    state = agent.state_dict()
    structure, tensors = nested.encode(state)
    payload = safetensors.torch.save(tensors)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "mtlgym": __version__,
        "spec": spec,
        "seed": None if seed is None else int(seed),
        "observation_space": spaces.plain(agent.observation_space),
        "action_space": spaces.plain(agent.action_space),
        "environment": origin(env),
        "state": structure,
        "tensors_sha256": hashlib.sha256(payload).hexdigest(),
    }
    _made(content, state, "`agent` is not what `spec` and `seed` make")
    _write(Path(path), content, payload)


def load(path: str | os.PathLike[str], *, trust: bool = False, algorithm: str = "") -> Agent:
    """The agent in a folder that `save` wrote: it goes on, bit for bit, where it was.

    Args:
        path: the folder, or the zip of a model of Stable-Baselines3.
        trust: whether to open such a zip, which can run any code of its maker's.
        algorithm: of such a zip, as "SAC"; found from what is in it if empty.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: if a byte of a file differs from what was written, or it was made to hold what
            no agent is like, or it is a zip that is not trusted; names the file.
    """
    path = Path(path)
    if path.is_file():
        from mtlgym.agents.sb3 import policy  # imports Stable-Baselines3

        return policy.load(path, trust=trust, algorithm=algorithm)
    content = read(path)
    file = path / _name(content)
    payload = file.read_bytes()
    if hashlib.sha256(payload).hexdigest() != content["tensors_sha256"]:
        raise ValueError(f"{file} is damaged: it has another SHA-256 than {path / JSON} says")
    tensors = nested.read_tensors(payload, str(file))
    state = nested.decode(content.get("state", {}), tensors, str(path / JSON))
    return _made(content, state, f"{path / JSON} is damaged")


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a kept agent's JSON says, if not a byte of it differs from what was written.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: if it is damaged, or of another version of the format; names it.
    """
    file = Path(path) / JSON
    content = checked_json.read(file)
    if content.get("format") != FORMAT:
        raise ValueError(f"{file} is not of a kept agent")
    if content.get("version") != VERSION:
        version = content.get("version")
        raise ValueError(f"{file} has version {version!r} of the format, not {VERSION}")
    if not re.fullmatch("[0-9a-f]{64}", str(content.get("tensors_sha256"))):
        raise ValueError(f"{file} is damaged: it names no file of tensors")
    return content


def _name(content: Mapping[str, Any]) -> str:
    """The file of tensors, by their SHA-256."""
    return f"agent-{content['tensors_sha256'][:12]}.safetensors"


def _write(folder: Path, content: dict[str, Any], payload: bytes) -> None:
    """Write the tensors, then the JSON that names them; then remove what was before."""
    text = checked_json.text(content)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / _name(content), payload)
    write_atomically(folder / JSON, text)
    older = set(folder.glob("agent-*.safetensors")) - {folder / _name(content)}
    for old in (*older, *folder.glob(".agent*.part")):  # drafts of writers that were killed
        with suppress(OSError):  # what is kept is whole with it too
            old.unlink()


def _made(content: Mapping[str, Any], state: Any, trouble: str) -> Agent:
    """A new agent by the spec, in that state.

    Raises:
        ValueError: if there is no such agent; begins with the trouble that this means.
    """
    try:
        found = specs.read(content["spec"])
        settings = {k: v for k, v in found.settings.items() if k not in SOURCES}
        observed = spaces.space(content["observation_space"], "it")
        decided = spaces.space(content["action_space"], "it")
        agent = replace(found, settings=settings).make(observed, decided, content["seed"])
        agent.load_state_dict(state)
    except STRANGE as error:
        raise ValueError(f"{trouble}: {error}") from error
    return agent
