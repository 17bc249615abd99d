import re
import struct

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.io import savemat

from mtlgym.datasets.domains import files
from mtlgym.datasets.formats.arrays import write_arrays
from tests.datasets.domains.domain_data import features, write

LABELS = np.array([3, 1, 1, 7, 3])
X = features(5)
FORMATS = (".mat", ".npz", ".npy")


def refused(path, *messages):
    """The reader says what is wrong, and with which file."""
    with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
        files.read(path)
    assert all(each in str(caught.value) for each in messages), str(caught.value)


def npz(path, **arrays):
    np.savez(path, **({"features": X, "labels": LABELS} | arrays))
    return path


@pytest.mark.parametrize("suffix", FORMATS)
def test_bare_labels_become_classes_in_ascending_order(tmp_path, suffix):
    found = files.read(write(tmp_path / f"art{suffix}", X, LABELS))
    assert_array_equal(found.features, X)
    assert found.features.dtype == np.float32
    assert found.features.flags.c_contiguous
    assert found.features.flags.writeable
    assert found.classes == ("1", "3", "7")
    assert_array_equal(found.labels, [1, 0, 0, 2, 1])
    assert found.labels.dtype == np.int64


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
@pytest.mark.parametrize("key", ["feas", "fts", "FTS", "features"])
@pytest.mark.parametrize("label", ["label", "labels", "LABELS"])
def test_arrays_may_go_by_several_names(tmp_path, suffix, key, label):
    path = tmp_path / f"art{suffix}"
    arrays = {key: X, label: LABELS, "else": np.zeros(3)}
    savemat(path, arrays) if suffix == ".mat" else np.savez(path, **arrays)
    assert_array_equal(files.read(path).features, X)


@pytest.mark.parametrize("shape", [(5,), (5, 1), (1, 5)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float16, np.float64])
def test_labels_may_be_a_column_or_a_row_of_any_whole_numbers(tmp_path, shape, dtype):
    path = npz(tmp_path / "art.npz", labels=LABELS.reshape(shape).astype(dtype))
    assert files.read(path).classes == ("1", "3", "7")


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float64, ">f4"])
def test_features_of_any_numbers_become_float32(tmp_path, dtype):
    values = np.arange(15).reshape(5, 3)
    found = files.read(npz(tmp_path / "art.npz", features=values.astype(dtype)))
    assert_array_equal(found.features, values.astype(np.float32))
    assert found.features.dtype == np.float32


def test_what_is_too_large_for_float32_becomes_infinite_without_a_warning(tmp_path):
    path = npz(tmp_path / "art.npz", features=np.full((5, 2), 1e300))
    assert np.isinf(files.read(path).features).all()


def test_a_file_may_name_its_classes_in_an_order_of_its_own(tmp_path):
    path = npz(tmp_path / "art.npz", labels=np.array([1, 0, 1, 2, 0]), classes=["b", "a", "c"])
    found = files.read(path)
    assert found.classes == ("b", "a", "c")
    assert_array_equal(found.labels, [1, 0, 1, 2, 0])


@pytest.mark.parametrize("name", ["art_labels.npy", "art.labels.npy"])
def test_labels_of_a_plain_array_are_in_a_file_beside_it(tmp_path, name):
    np.save(tmp_path / "art.npy", X)
    with pytest.raises(FileNotFoundError, match=r"art_labels.npy or art.labels.npy"):
        files.read(tmp_path / "art.npy")
    np.save(tmp_path / name, LABELS)
    assert files.read(tmp_path / "art.npy").classes == ("1", "3", "7")
    assert files.files(tmp_path / "art.npy") == (tmp_path / "art.npy", tmp_path / name)


@pytest.mark.parametrize(
    ("arrays", "messages"),
    [
        ({"features": X[0]}, ("(samples, width)", "float32 (3,)")),
        ({"features": X[:, :0]}, ("(samples, width)", "(5, 0)")),
        ({"features": X.astype(str)}, ("numbers, (samples, width)", "<U")),
        ({"features": X.astype(complex)}, ("numbers, (samples, width)", "complex128")),
        ({"features": X[:4]}, ("a label for each of 4 samples, not 5",)),
        ({"labels": LABELS[:0]}, ("whole numbers, (samples,) or (samples, 1)", "(0,)")),
        ({"labels": np.zeros((5, 2))}, ("(samples,) or (samples, 1)", "(5, 2)")),
        ({"labels": LABELS.astype(str)}, ("whole numbers", "<U")),
        ({"labels": LABELS + 0.5}, ("below 2147483648, not 3.5",)),
        ({"labels": LABELS * np.nan}, ("below 2147483648, not nan",)),
        ({"labels": LABELS + 2**31}, ("below 2147483648, not 21474836",)),
        ({"labels": LABELS - 2**31 - 3}, ("above -2147483648 and", "not -2147483648")),
        ({"labels": np.full(5, -(2**63))}, ("not -9223372036854775808",)),
        ({"classes": ["a", "b"]}, ("lie in [0, 2)", "not from 1 to 7")),
        ({"classes": [1, 2]}, ("`classes`", "must be strings, not int64 (2,)")),
        ({"feas": X}, ("exactly one dense array called feas, fts or features", "'feas', 'feat")),
        ({"features": np.array([[{}]] * 5)}, ("is damaged, or no .npz file", "pickle")),
    ],
)
def test_arrays_of_another_form_are_refused(tmp_path, arrays, messages):
    refused(npz(tmp_path / "art.npz", **arrays), *messages)


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
@pytest.mark.parametrize(("key", "wanted"), [("feas", "label or labels"), ("label", "feas, fts")])
def test_a_missing_array_is_named(tmp_path, suffix, key, wanted):
    path = tmp_path / f"art{suffix}"
    savemat(path, {key: X}) if suffix == ".mat" else np.savez(path, **{key: X})
    refused(path, wanted, "not none")


def test_cells_structures_texts_and_sparse_arrays_are_no_features(tmp_path):
    for value in (np.array([X, "a"], dtype=object), {"a": X}, "text", X * 1j):
        savemat(tmp_path / "art.mat", {"feas": value, "label": LABELS})
        refused(tmp_path / "art.mat", "exactly one dense array called feas")


def test_another_suffix_is_refused_and_a_missing_file_is_named(tmp_path):
    refused(tmp_path / "art.csv", "must end in .mat, .npz, .npy, not '.csv'")
    for suffix in (".mat", ".npz"):
        with pytest.raises(FileNotFoundError, match=f"art{suffix}"):
            files.read(tmp_path / f"art{suffix}")


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"MATLAB 5.0 MAT-file", b"no" * 100])
def test_what_is_no_file_of_arrays_is_refused(tmp_path, suffix, content):
    path = write(tmp_path / f"art{suffix}", X, LABELS)
    path.write_bytes(content)
    refused(path, f"is damaged, or no {suffix} file of arrays")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_damaged_file_is_read_or_refused_by_name(tmp_path, suffix):
    path, rng = write(tmp_path / f"art{suffix}", X, LABELS), np.random.default_rng(0)
    good, refusals = path.read_bytes(), 0
    for number in range(150):
        content = bytearray(good)[: None if number % 3 else rng.integers(len(good))]
        if number % 3:
            content[rng.integers(len(content))] = rng.integers(256)
        path.write_bytes(bytes(content))
        try:
            files.read(path)
        except ValueError as error:
            assert str(path) in str(error)
            refusals += 1
    assert refusals > 40


def test_the_format_of_hdf5_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "art.mat"
    path.write_bytes(b" " * 124 + struct.pack("<H", 0x0200) + b"IM" + b"\0" * 400)
    refused(path, "save it with -v7, not -v7.3")


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("content", [b"", b"no" * 100, "objects"])
def test_the_damaged_one_of_an_array_and_its_labels_is_named_without_advice(
    tmp_path, beside, content
):
    path = write(tmp_path / "art.npy", X, LABELS)
    damaged = tmp_path / "art_labels.npy" if beside else path
    if isinstance(content, bytes):
        damaged.write_bytes(content)
    else:
        np.save(damaged, np.array([{}] * 5), allow_pickle=True)
    with pytest.raises(ValueError, match=r"is damaged, or no \.npy file") as caught:
        files.read(path)
    said = str(caught.value)
    assert said.startswith(f"{damaged} is damaged")
    assert "allow_pickle" not in said
    assert "unsafe" not in said


def test_a_file_with_its_sha256_beside_it_is_read_only_if_they_agree(tmp_path):
    path = tmp_path / "art.npz"
    names = np.array(["a", "b"])
    digest = write_arrays(path, {"features": X[:2], "labels": np.array([1, 0]), "classes": names})
    with pytest.raises(ValueError, match=r"was not written to the end: art.npz.sha256"):
        files.read_checked(path)
    (tmp_path / "art.npz.sha256").write_text(f"{digest}\n")
    assert files.read_checked(path).classes == ("a", "b")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"art.npz is damaged: expected SHA-256"):
        files.read_checked(path)
