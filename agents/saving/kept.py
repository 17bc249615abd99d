"""Save an agent in a folder, and load it in another process.

`agent.json` holds the agent's spec, seed and spaces, the structure of its state, and the SHA-256 of
the file of its tensors, whose name is `agent-` and the beginning of that SHA-256. It is replaced
last, so at every moment the folder holds one complete agent, an older one or the newer. There is no
pickle in it.
"""

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import safetensors.torch
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym import __version__
from mtlgym.agents import AGENTS, Agent
from mtlgym.agents import spec as specs
from mtlgym.agents.saving.environment import describe
from mtlgym.io import checked_json
from mtlgym.io import state as nested
from mtlgym.io.atomic import write_atomically
from mtlgym.lookup import lookup

FORMAT, VERSION = "mtlgym agent", 1
JSON = "agent.json"
SOURCES = ("log",)  # settings that only define a policy's start, which its state replaces
INVALID = (  # raised for invalid states
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


def save(
    path: str | os.PathLike[str],
    agent: Any,
    *,
    spec: str,
    seed: int | None = None,
    env: Any = None,
) -> None:
    """Save an agent, with all that it has learnt, in a folder.

    An agent that is there already stays complete until this one is, and is then replaced.

    Args:
        path: the folder; created if it does not exist.
        agent: one that `mtlgym.agents.make` could have made.
        spec: its spec for `mtlgym.agents.make`: "igbv2+nash", "exp3s:eta=0.01", "dwa".
        seed: the seed that it was made with.
        env: the environment that it was trained in, for `method` and for the reader: its id and
            options, its tasks, and the settings of its actions and observations are saved.

    Raises:
        ValueError: if the spec or the seed does not make such an agent, or one of its spaces cannot
            be saved.
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
        "observation_space": space_to_json(agent.observation_space),
        "action_space": space_to_json(agent.action_space),
        "environment": describe(env),
        "state": structure,
        "tensors_sha256": hashlib.sha256(payload).hexdigest(),
    }
    _build(content, state, "`agent` is not what `spec` and `seed` make")
    _write(Path(path), content, payload)


def load(path: str | os.PathLike[str], *, trust: bool = False, algorithm: str = "") -> Agent:
    """Load the agent in a folder that `save` wrote; it then continues bit-identically.

    Args:
        path: the folder, or the zip of a model of Stable-Baselines3.
        trust: whether to open such a zip, which can run any code of its author's.
        algorithm: of such a zip, as "SAC"; recognised from its content if empty.

    Raises:
        FileNotFoundError: if it does not exist.
        ValueError: if a byte of a file differs from what was written, or its content fits no agent,
            or it is a zip that is not trusted; names the file.
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
    return _build(content, state, f"{path / JSON} is damaged")


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of a saved agent's JSON file, after checking it.

    Raises:
        FileNotFoundError: if it does not exist.
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
    """The name of the file of tensors, from their SHA-256."""
    return f"agent-{content['tensors_sha256'][:12]}.safetensors"


def _write(folder: Path, content: dict[str, Any], payload: bytes) -> None:
    """Write the tensors, then the JSON that names them; then remove older files."""
    text = checked_json.text(content)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / _name(content), payload)
    write_atomically(folder / JSON, text)
    older = set(folder.glob("agent-*.safetensors")) - {folder / _name(content)}
    for old in (*older, *folder.glob(".agent*.part")):  # drafts of writers that were killed
        with suppress(OSError):  # the agent is complete with them too
            old.unlink()


def _build(content: Mapping[str, Any], state: Any, problem: str) -> Agent:
    """A new agent by the spec, in that state.

    Raises:
        ValueError: if there is no such agent; its message begins with `problem`.
    """
    try:
        spec = specs.read(content["spec"])
        settings = {k: v for k, v in spec.settings.items() if k not in SOURCES}
        observations = space_from_json(content["observation_space"], "it")
        actions = space_from_json(content["action_space"], "it")
        agent = replace(spec, settings=settings).make(observations, actions, content["seed"])
        agent.load_state_dict(state)
    except INVALID as error:
        raise ValueError(f"{problem}: {error}") from error
    return agent


INFINITE = {"inf": np.inf, "-inf": -np.inf}
LARGEST = 10**8  # most numbers in a space, so that a short text cannot take all memory


def space_to_json(space: spaces.Space) -> dict[str, Any]:
    """The space as values for JSON; infinite bounds are texts.

    Raises:
        ValueError: for a space whose type, or that of a part, is not in `KINDS`.
    """
    name = type(space).__name__
    if name not in KINDS or type(space).__module__.partition(".")[0] != "gymnasium":
        raise ValueError(f"only the spaces {', '.join(KINDS)} can be kept, not {space}")
    return {"type": name, **KINDS[name][0](space)}


def space_from_json(values: Any, source: str) -> spaces.Space:
    """The space that `space_to_json` described.

    Args:
        values: the JSON's values.
        source: the file, for messages.

    Raises:
        ValueError: for values that describe no space; names the file.
    """
    try:
        return _read(values)
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        RecursionError,
    ) as error:
        raise ValueError(f"{source} is damaged: it describes no space ({error})") from error


def _read(values: Any) -> spaces.Space:
    return lookup(KINDS, values["type"], "space")[1](values)


def _plain_box(space: Any) -> dict[str, Any]:
    return {
        "shape": list(space.shape),
        "dtype": space.dtype.name,
        "low": _plain_bounds(space.low),
        "high": _plain_bounds(space.high),
    }


def _box(values: dict[str, Any]) -> spaces.Space:
    shape, dtype = tuple(values["shape"]), np.dtype(values["dtype"])
    low, high = (_bounds(values[end], shape, dtype) for end in ("low", "high"))
    return spaces.Box(low, high, shape, dtype)  # type: ignore[arg-type]


def _plain_bounds(bounds: NDArray[Any]) -> Any:
    """The flattened numbers, or a single one if all are equal."""
    numbers = [str(x) if np.isinf(x) else x for x in bounds.ravel().tolist()]
    return numbers[0] if numbers and len(set(numbers)) == 1 else numbers


def _bounds(values: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    if int(np.prod([float(length) for length in shape])) > LARGEST:
        raise ValueError(f"a space of shape {shape} is too large")
    numbers = [INFINITE[x] if isinstance(x, str) else x for x in np.atleast_1d(_listed(values))]
    with np.errstate(over="ignore"):
        bounds = np.array(numbers, dtype)
    return np.full(shape, bounds[0]) if len(bounds) == 1 else bounds.reshape(shape)


def _listed(values: Any) -> NDArray[Any]:
    """The values as objects, so that neither texts nor large integers are changed."""
    return np.array(values, dtype=object)


def _plain_discrete(space: Any) -> dict[str, Any]:
    return {"n": int(space.n), "start": int(space.start), **_integers(space)}


def _discrete(values: dict[str, Any]) -> spaces.Space:
    return spaces.Discrete(values["n"], start=values["start"], **_dtype(values))


def _plain_multi(space: Any) -> dict[str, Any]:
    return {"nvec": space.nvec.tolist(), "start": space.start.tolist(), **_integers(space)}


def _multi(values: dict[str, Any]) -> spaces.Space:
    return spaces.MultiDiscrete(values["nvec"], start=values["start"], **_dtype(values))


def _integers(space: spaces.Space) -> dict[str, Any]:
    """The dtype, where it is not int64."""
    assert space.dtype is not None
    return {} if space.dtype == np.int64 else {"dtype": space.dtype.name}


def _dtype(values: dict[str, Any]) -> dict[str, Any]:
    return {"dtype": np.dtype(values["dtype"])} if "dtype" in values else {}


def _plain_dict(space: Any) -> dict[str, Any]:
    return {"spaces": [[str(name), space_to_json(each)] for name, each in space.items()]}


def _dict(values: dict[str, Any]) -> spaces.Space:
    return spaces.Dict([(name, _read(each)) for name, each in values["spaces"]])


def _plain_tuple(space: Any) -> dict[str, Any]:
    return {"spaces": [space_to_json(each) for each in space]}


def _tuple(values: dict[str, Any]) -> spaces.Space:
    return spaces.Tuple([_read(each) for each in values["spaces"]])


Kind = tuple[Callable[[Any], dict[str, Any]], Callable[[dict[str, Any]], spaces.Space]]
KINDS: dict[str, Kind] = {
    "Box": (_plain_box, _box),
    "Dict": (_plain_dict, _dict),
    "Discrete": (_plain_discrete, _discrete),
    "MultiDiscrete": (_plain_multi, _multi),
    "Tuple": (_plain_tuple, _tuple),
}
