import struct

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.io import loadmat, savemat

from mtlgym.datasets.formats import mat


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_matlabs_numbers_are_those_that_scipy_reads(tmp_path, dtype, compressed):
    values = np.arange(6).reshape(2, 3).astype(dtype)
    path = tmp_path / "x.mat"
    savemat(path, {"long_name": values, "b": values[:1], "text": "b"}, do_compression=compressed)
    found, expected = mat.read(path, ["long_name", "b"]), loadmat(path)
    assert found.keys() == {"long_name", "b"}
    assert all(np.array_equal(found[name], expected[name]) for name in found)


def test_numbers_in_the_other_byte_order_are_read(tmp_path):
    def element(kind, data):
        return struct.pack(">II", kind, len(data)) + data + b"\0" * (-len(data) % 8)

    parts = element(6, struct.pack(">II", 6, 0)) + element(5, struct.pack(">ii", 1, 2))
    parts += struct.pack(">HH4s", 1, 1, b"x")  # short: one byte of kind 1
    matrix = parts + element(9, struct.pack(">dd", 1.5, -2))
    header = b" " * 124 + struct.pack(">H", 0x0100) + b"MI"
    (tmp_path / "x.mat").write_bytes(header + element(14, matrix))
    assert_array_equal(mat.read(tmp_path / "x.mat", ["x"])["x"], [[1.5, -2]])
