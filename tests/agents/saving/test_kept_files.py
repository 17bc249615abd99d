"""The files of a kept agent: damaged, made up, or written to a disk that is full."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

from mtlgym import agents
from mtlgym.agents.saving import kept
from mtlgym.io import checked_json, checkpoint
from mtlgym.io import state as nested
from tests.agents.saving import kept_worker as worker
from tests.io.test_checkpoint import same

SPACES = [
    spaces.Box(0, np.inf, (3,), np.float32),
    spaces.Box(np.array([-0.1, 1e-30], np.float32), np.array([0.1, np.inf], np.float32)),
    spaces.Box(-np.inf, np.inf, (), np.float64),
    spaces.Box(0, 255, (2, 3, 1), np.uint8),
    spaces.Box(-(2**62), 2**62 + 1, (2,), np.int64),
    spaces.Box(0, 1, (0,), np.float32),
    spaces.Discrete(5, start=-2),
    spaces.MultiDiscrete([3, 4], start=[1, 0]),
    spaces.MultiDiscrete(np.array([[2, 3], [4, 5]])),
    spaces.Dict({"b": spaces.Discrete(2), "a": spaces.Box(-1, 1, (1,), np.float32)}),
    spaces.Tuple([spaces.Discrete(2), spaces.Tuple([spaces.Discrete(3)])]),
]


@pytest.fixture
def folder(tmp_path):
    agents.save(tmp_path / "kept", worker.trained("exp3s"), spec="exp3s", seed=3)
    return tmp_path / "kept"


def tensors(folder):
    (found,) = folder.glob("agent-*.safetensors")
    return found


def forge(folder, change):
    """Let the JSON say something else, with the SHA-256 of that."""
    content = json.loads((folder / kept.JSON).read_text())
    change(content)
    (folder / kept.JSON).write_bytes(checked_json.text(content))


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_space_is_the_same_after_json(space):
    said = json.loads(json.dumps(kept.space_to_json(space), allow_nan=False))
    found = kept.space_from_json(said, "file")
    assert found == space
    assert str(found) == str(space)
    if isinstance(space, spaces.Box):
        np.testing.assert_array_equal(found.low, space.low)
        np.testing.assert_array_equal(found.high, space.high)
        assert found.dtype == space.dtype


@pytest.mark.parametrize("space", [spaces.MultiBinary(2), spaces.Tuple([spaces.Text(3)])], ids=str)
def test_space_of_another_kind_is_refused(space):
    with pytest.raises(ValueError, match="only the spaces Box, Dict, Discrete"):
        kept.space_to_json(space)


@pytest.mark.parametrize(
    "said",
    [
        None,
        {},
        {"type": "Graph"},
        {"type": "Discrete", "n": 0, "start": 0},
        {"type": "Discrete", "n": "2", "start": 0},
        {"type": "Box", "shape": [10**6, 10**6], "dtype": "float32", "low": 0, "high": 1},
        {"type": "Box", "shape": [2], "dtype": "O", "low": 0, "high": 1},
        {"type": "Box", "shape": [2], "dtype": "float32", "low": [0, 0, 0], "high": 1},
        {"type": "Box", "shape": [2], "dtype": "float32", "low": "0", "high": 1},
        {"type": "Box", "shape": [-2], "dtype": "float32", "low": 0, "high": 1},
        {"type": "MultiDiscrete", "nvec": [[2], [3, 4]], "start": [0]},
        {"type": "Dict", "spaces": 3},
    ],
)
def test_what_describes_no_space_is_refused_by_the_files_name(said):
    with pytest.raises(ValueError, match="the file is damaged: it describes no space"):
        kept.space_from_json(said, "the file")


@pytest.mark.parametrize("bit", [0x01, 0x20, 0x80])
def test_flipped_byte_anywhere_is_refused(folder, bit):
    for path in (folder / kept.JSON, tensors(folder)):
        raw = path.read_bytes()
        for position in range(0, len(raw), 3):
            damaged = bytearray(raw)
            damaged[position] ^= bit
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match=str(path)):
                agents.load(folder)
        path.write_bytes(raw)
    agents.load(folder)


def test_file_that_is_cut_or_longer_is_refused(folder):
    for path in (folder / kept.JSON, tensors(folder)):
        raw = path.read_bytes()
        for content in (*(raw[:end] for end in range(0, len(raw), 11)), raw[:-1], raw + b"\n"):
            path.write_bytes(content)
            with pytest.raises(ValueError, match=str(path)):
                agents.load(folder)
        path.write_bytes(raw)
    agents.load(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said.pop("spec"),
        lambda said: said.update(spec="exp4"),
        lambda said: said.update(spec="ucb1"),
        lambda said: said.update(spec=3),
        lambda said: said.update(spec="exp3s:eta=0.5"),
        lambda said: said.update(seed="one"),
        lambda said: said.pop("action_space"),
        lambda said: said.update(action_space=said["observation_space"]),
        lambda said: said.update(action_space={"type": "Discrete", "n": 4, "start": 0}),
        lambda said: said.pop("state"),
        lambda said: said.update(state=[1]),
        lambda said: said.update(state={"": "dict", "items": [["rng", 1]]}),
        lambda said: said.update(state={"": "array", "key": "none"}),
        lambda said: said.update(tensors_sha256=7),
        lambda said: said.update(tensors_sha256="/../" * 16),
        lambda said: said.pop("tensors_sha256"),
        lambda said: said.update(version=2),
        lambda said: said.pop("format"),
    ],
)
def test_json_that_was_made_up_is_refused_by_its_name(folder, change):
    forge(folder, change)
    with pytest.raises(ValueError, match=str(folder / kept.JSON)):
        agents.load(folder)


@pytest.mark.parametrize("place", ["state", "observation_space"])
def test_json_that_is_nested_too_deeply_is_refused(folder, place):
    path = folder / kept.JSON
    content = json.loads(path.read_text()) | {place: "here"}
    for deep in ("[" * 300 + "]" * 300, "[" * 10**5 + "]" * 10**5):
        path.write_bytes(checked_json.text(content).replace(b'"here"', deep.encode()))
        with pytest.raises(ValueError, match=str(path)):
            agents.load(folder)


NONSENSE = [
    {},
    {"": 3},
    {"": "set", "items": []},
    {"": "tensor"},
    {"": "tensor", "key": "5"},
    {"": "array", "key": []},
    {"": "tuple"},
    {"": "tuple", "items": "ab"},
    {"": "dict", "items": [[[], 1]]},
    {"": "dict", "items": [1]},
    {"": "dict", "items": [[1, 2, 3]]},
    {"": "float", "text": "one"},
    {"": ["tensor"]},
]


@pytest.mark.parametrize("structure", NONSENSE, ids=str)
def test_state_that_was_made_up_is_refused_by_the_files_name(structure, tmp_path, monkeypatch):
    path = tmp_path / "checkpoint"
    monkeypatch.setattr(nested, "encode", lambda state: (structure, {}))
    checkpoint.save(path, None)
    with pytest.raises(ValueError, match=f"{path} is damaged: it holds no state"):
        checkpoint.load(path)


def test_state_that_is_nested_too_deeply_is_neither_written_nor_read(tmp_path, monkeypatch):
    loop: list = []
    loop.append(loop)
    with pytest.raises(ValueError, match="nested 100 deep"):
        checkpoint.save(tmp_path / "checkpoint", loop)
    deep: list = []
    for _ in range(300):
        deep = [deep]
    for structure in (deep, "here"):
        monkeypatch.setattr(nested, "encode", lambda state, given=structure: (given, {}))
        checkpoint.save(tmp_path / "checkpoint", None)
        if structure == "here":
            monkeypatch.setattr(json, "dumps", lambda value: "[" * 10**5)
            checkpoint.save(tmp_path / "checkpoint", None)
            monkeypatch.undo()
        with pytest.raises(ValueError, match="checkpoint is damaged"):
            checkpoint.load(tmp_path / "checkpoint")


def fails(function, call):
    """The function, with an error of a full disk at that call."""
    calls = []

    def full(*arguments, **named):
        calls.append(arguments)
        if len(calls) == call:
            raise OSError(errno.ENOSPC, "No space left on device")
        return function(*arguments, **named)

    return full


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("moment", ["open", "replace"])
def test_full_disk_leaves_the_older_agent_whole(folder, monkeypatch, moment, call):
    older, newer = agents.load(folder), worker.trained("exp3s", seed=8)
    monkeypatch.setattr(Path, moment, fails(getattr(Path, moment), call))
    with pytest.raises(OSError, match="No space left"):
        agents.save(folder, newer, spec="exp3s", seed=8)
    monkeypatch.undo()
    assert same(agents.load(folder).state_dict(), older.state_dict())
    agents.save(folder, newer, spec="exp3s", seed=8)  # clears away what the failed one left
    assert same(agents.load(folder).state_dict(), newer.state_dict())
    assert len(list(folder.iterdir())) == 2


def test_older_tensors_that_cannot_be_removed_do_no_harm(folder, monkeypatch):
    newer = worker.trained("exp3s", seed=8)
    monkeypatch.setattr(Path, "unlink", fails(Path.unlink, 3))  # after those of the drafts
    agents.save(folder, newer, spec="exp3s", seed=8)
    assert len(list(folder.glob("agent-*"))) == 2
    assert same(agents.load(folder).state_dict(), newer.state_dict())


def test_what_a_killed_writer_left_is_removed_by_the_next_one(folder):
    for name in (".agent.json.123.part", "agent-0123456789ab.safetensors"):
        (folder / name).write_bytes(b"half")
    (folder / "notes.txt").write_text("mine")
    agents.save(folder, agents.load(folder), spec="exp3s", seed=3)
    assert {path.name for path in folder.iterdir()} == {
        kept.JSON,
        tensors(folder).name,
        "notes.txt",
    }


def test_what_is_not_there_is_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        agents.load(tmp_path / "nowhere")
    tensors(folder).unlink()
    with pytest.raises(FileNotFoundError, match=r"agent-.*\.safetensors"):
        agents.load(folder)
