import math

import numpy as np
import pytest
import torch

from mtlgym.io import checkpoint

STATE = {
    "tensors": [torch.arange(3.0), torch.tensor(2, dtype=torch.int64), torch.zeros(0)],
    "array": np.arange(4, dtype=np.uint8).reshape(2, 2),
    "pair": (1, "two"),
    "numbers": {0: 0.1, 1: math.inf, "big": 2**100, "none": None, "yes": True},
    "": {"key": "items"},
}


def same(a, b):
    if isinstance(a, torch.Tensor | np.ndarray):
        return type(a) is type(b) and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b and type(a) is type(b)


def test_what_is_saved_is_loaded(tmp_path):
    checkpoint.save(tmp_path / "c", STATE)
    assert same(STATE, checkpoint.load(tmp_path / "c"))


def test_tensors_that_share_memory_are_kept_apart(tmp_path):
    whole = torch.arange(6.0)
    checkpoint.save(tmp_path / "c", [whole, whole[:2], whole.view(2, 3).T])
    loaded = checkpoint.load(tmp_path / "c")
    assert torch.equal(loaded[1], whole[:2])
    assert torch.equal(loaded[2], whole.view(2, 3).T)


def test_a_flipped_byte_anywhere_is_refused(tmp_path):
    path = tmp_path / "c"
    checkpoint.save(path, {"a": torch.arange(5.0), "b": [1, 2]})
    raw = path.read_bytes()
    for position in range(len(raw)):
        damaged = bytearray(raw)
        damaged[position] ^= 0x01
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=str(path)):
            checkpoint.load(path)


@pytest.mark.parametrize("kept", [0, 5, 20, 84, 85, 100, -1])
def test_a_file_cut_short_is_refused(tmp_path, kept):
    path = tmp_path / "c"
    checkpoint.save(path, {"a": torch.arange(5.0)})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=str(path)):
        checkpoint.load(path)


def test_a_pickle_is_refused(tmp_path):
    torch.save({"a": 1}, tmp_path / "c")
    with pytest.raises(ValueError, match="not a checkpoint"):
        checkpoint.load(tmp_path / "c")


def test_a_value_that_cannot_be_held_is_named_and_the_old_file_stays(tmp_path):
    checkpoint.save(tmp_path / "c", [1])
    with pytest.raises(TypeError, match="object"):
        checkpoint.save(tmp_path / "c", {"x": object()})
    assert checkpoint.load(tmp_path / "c") == [1]
