"""Files of arrays in the compressions that the embedded data use."""

import io
import zipfile
from collections.abc import Callable

import numpy as np
import pytest

from mtlgym.datasets.formats.arrays import read_arrays, write_arrays


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA]
)
def test_arrays_come_back_from_any_compression_and_are_written_alike(tmp_path, compression):
    arrays = {"a": np.arange(5), "b": np.array(["x", "yz"]), "c": np.zeros((2, 0, 3), np.uint8)}
    path = tmp_path / "x.npz"
    digest = write_arrays(path, arrays, compression)
    assert write_arrays(path, arrays, compression) == digest
    with zipfile.ZipFile(path) as archive:
        assert {each.compress_type for each in archive.infolist()} == {compression}
    back = read_arrays(path, digest)
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)


def test_without_lzma_the_bytes_are_those_that_numpy_writes(tmp_path):
    arrays = {"a": np.arange(5), "b": np.ones((2, 3))}
    savers: dict[int, Callable[..., None]] = {
        zipfile.ZIP_STORED: np.savez,
        zipfile.ZIP_DEFLATED: np.savez_compressed,
    }
    for compression, save in savers.items():
        write_arrays(tmp_path / "x.npz", arrays, compression)
        expected = io.BytesIO()
        save(expected, **arrays)
        assert (tmp_path / "x.npz").read_bytes() == expected.getvalue()


def test_objects_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        write_arrays(tmp_path / "x.npz", {"a": np.array([{}], dtype=object)})
    assert not (tmp_path / "x.npz").exists()
