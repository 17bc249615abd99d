import gzip
import hashlib
import struct

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mtlgym.datasets import sources
from mtlgym.datasets.audit import audit
from mtlgym.datasets.formats import idx
from mtlgym.datasets.images import mnist
from mtlgym.datasets.images.image_tasks import SPLITS

SIZES = {"train": 30, "t10k": 6}  # images of a digit
NAMES = [f"{part}-{kind}-ubyte" for part in SIZES for kind in ("images-idx3", "labels-idx1")]
FEW = {"positives": 20, "negatives": 10, "test_positives": 4, "test_negatives": 3}
ZERO_TO_NINE = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def file(array):
    """An array of bytes as an IDX file."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def arrays(part):
    """Images that all differ, and their digits in a mixed order."""
    rng = np.random.default_rng([*part.encode()])
    labels = rng.permutation(np.repeat(np.arange(10, dtype=np.uint8), SIZES[part]))
    return rng.integers(0, 256, (len(labels), 28, 28), dtype=np.uint8), labels


def write(folder, name=lambda each: each, pack=lambda content: content):
    folder.mkdir(parents=True, exist_ok=True)
    for part in SIZES:
        for array in arrays(part):
            each = f"{part}-{'images-idx3' if array.ndim == 3 else 'labels-idx1'}-ubyte"
            (folder / name(each)).write_bytes(pack(file(array)))
    return folder


def same(one, other):
    assert one.tasks == other.tasks
    assert one.classes == other.classes
    for name in SPLITS:
        for part in ("index", "task", "label", "images"):
            assert_array_equal(getattr(one.splits[name], part), getattr(other.splits[name], part))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write(tmp_path_factory.mktemp("mnist"))


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 28, 28)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_array_is_read_back_as_it_was(tmp_path, shape, pack):
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / "file.gz"  # its name says nothing
    path.write_bytes(pack(file(array)))
    assert_array_equal(idx.read(path, *shape), array)
    assert_array_equal(idx.read(path, *(None for _ in shape)), array)


WHOLE = file(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must begin with 00000803, not nothing"),
        (WHOLE[:3], "must begin with 00000803, not 000008"),
        (b"\x00\x00\x08\x01" + WHOLE[4:], "must begin with 00000803, not 00000801"),
        (b"\x00\x00\x09\x03" + WHOLE[4:], "must begin with 00000803, not 00000903"),
        (b"<html>", "must begin with 00000803, not 3c68746d"),
        (WHOLE[:13], "its header must be of 16 bytes, not 13"),
        (WHOLE[:-1], "header says 24 bytes follow; 23 are there"),
        (WHOLE[:16], "header says 24 bytes follow; 0 are there"),
        (WHOLE + b"x", "header says 24 bytes follow; there are more"),
        (file(np.zeros((2, 4, 3), np.uint8)), "must be any x 3 x 4, not 2 x 4 x 3"),
        (file(np.zeros((0, 3, 4), np.uint8)), "must hold from 1 to 2147483647 bytes, not 0"),
        (b"\x00\x00\x08\x03\xff\xff\xff\xff" + WHOLE[8:], "not 51539607540"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_of_another_form_is_named_with_what_was_expected(tmp_path, content, message, pack):
    path = tmp_path / "file"
    path.write_bytes(pack(content))
    with pytest.raises(ValueError, match=message) as caught:
        idx.read(path, None, 3, 4)
    assert str(path) in str(caught.value)


def test_a_gzip_that_is_cut_flipped_or_followed_by_something_is_named(tmp_path):
    path, whole = tmp_path / "file", gzip.compress(WHOLE, mtime=0)
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=str(path)):
            idx.read(path, None, 3, 4)
    refused = 0
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            assert_array_equal(idx.read(path, None, 3, 4).ravel(), np.arange(24))
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > len(whole) - 10  # the time, the level and the system's name do not matter
    path.write_bytes(whole + b"more")
    with pytest.raises(ValueError, match=str(path)):
        idx.read(path, None, 3, 4)


@pytest.mark.parametrize("split", SPLITS)
def test_each_task_asks_for_one_digit_and_its_samples_are_the_files(written, split):
    found = mnist.load(written, **FEW)
    assert found.tasks == ZERO_TO_NINE
    assert found.classes == tuple(("other", name) for name in ZERO_TO_NINE)
    images, labels = arrays("t10k" if split == "test" else "train")
    digit_of = {image.tobytes(): int(digit) for image, digit in zip(images, labels, strict=True)}
    own, other = {"train": (18, 9), "val": (2, 1), "test": (4, 3)}[split]
    samples = found.splits[split]
    assert samples.images.shape[1:] == (28, 28, 1)
    digits = np.array([digit_of[samples.images[each].tobytes()] for each in samples.index])
    assert_array_equal(samples.label, digits == samples.task)
    for task in range(10):
        counts = np.bincount(digits[samples.task == task], minlength=10)
        assert_array_equal(counts, np.where(np.arange(10) == task, own, other))
        assert len(set(samples.index[samples.task == task].tolist())) == own + 9 * other


def test_no_image_is_for_training_in_one_task_and_for_validation_in_another(written):
    found = mnist.load(written, **FEW, validation=0.3)
    train, val = (
        {found.splits[name].images[each].tobytes() for each in found.splits[name].index}
        for name in ("train", "val")
    )
    assert not train & val
    assert len(val) > 10


@pytest.mark.parametrize("share", [0.001, 0.05, 0.25, 0.5, 0.77, 0.999])
def test_a_set_with_just_as_many_images_will_do_for_any_share(written, share):
    sizes = {"positives": 30, "negatives": 30, "test_positives": 6, "test_negatives": 6}
    found = mnist.load(written, validation=share, **sizes)
    val = min(max(1, round(30 * share)), 29)
    assert [len(found.splits[name]) for name in SPLITS] == [100 * (30 - val), 100 * val, 600]


def test_the_default_sizes_are_named_where_they_are_too_many(written):
    with pytest.raises(
        ValueError, match=r"train-images-idx3-ubyte has 30 .*'zero'; 1000 are needed"
    ):
        mnist.load(written)
    sizes = FEW | {"test_positives": 20}
    with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte has 6 .*'zero'; 20 are needed"):
        mnist.load(written, **sizes)


def test_always_the_same_samples_are_drawn_and_by_task_as_among_all(written):
    whole, some = mnist.load(written, **FEW), mnist.load(written, ["seven", "two"], **FEW)
    same(whole, mnist.load(written, **FEW))
    same(whole, mnist.load(written, 10, **FEW))
    assert mnist.load(written, 2, **FEW).tasks == ("zero", "one")
    for name in SPLITS:
        for number, task in enumerate((7, 2)):
            assert_array_equal(
                some.splits[name].index[some.splits[name].task == number],
                whole.splits[name].index[whole.splits[name].task == task],
            )


@pytest.mark.parametrize("dots", [False, True])
@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_every_usual_name_will_do(written, tmp_path, monkeypatch, dots, ending, pack):
    monkeypatch.setenv("MTLGYM_DATA", str(tmp_path))
    assert sources.find("mnist") is None

    def name(each):
        return (each.replace("-idx", ".idx") if dots else each) + ending

    folder = write(tmp_path / "mnist", name, pack)
    assert sources.choose("real", "mnist") == folder
    same(mnist.load(folder, **FEW), mnist.load(written, **FEW))
    assert audit("mnist")[folder] == ""


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named_and_so_is_the_way_to_it(tmp_path, name):
    (write(tmp_path) / name).unlink()
    for function in (mnist.load, mnist.digest, mnist.verify):
        with pytest.raises(FileNotFoundError, match=f"MNIST needs {name} or ") as caught:
            function(tmp_path)
        assert sources.DATASETS["mnist"].remedy in str(caught.value)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (0, np.zeros((300, 28, 27)), "train-images.* must be any x 28 x 28, not 300 x 28 x 27"),
        (0, np.zeros((299, 28, 28)), "train-images.* has 299 images, but .*train-labels.* has 300"),
        (1, np.zeros((300, 1)), "train-labels.* must begin with 00000801, not 00000802"),
        (1, np.full(300, 10), "train-labels.* must hold digits from 0 to 9, not 10"),
        (3, np.arange(60) % 9, "t10k-images.* has 0 images of 'nine'"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, monkeypatch, name, array, message):
    monkeypatch.setenv("MTLGYM_DATA", str(tmp_path))
    folder = write(tmp_path / "mnist")
    (folder / NAMES[name]).write_bytes(file(array.astype(np.uint8)))
    for function in (mnist.verify, mnist.load):
        with pytest.raises(ValueError, match=message):
            function(folder, **(FEW if function is mnist.load else {}))
    assert NAMES[name].split("-idx")[0].split("-")[0] in audit("mnist")[folder]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"validation": 0.0}, "`validation` must be a number above 0 and below 1, not 0"),
        ({"positives": 1}, "`positives` must be an integer of at least 2, not 1"),
        ({"negatives": 0}, "`negatives` must be an integer of at least 2, not 0"),
        ({"test_positives": 0}, "`test_positives` must be an integer of at least 1, not 0"),
        ({"test_negatives": -1}, "`test_negatives` must be an integer of at least 1, not -1"),
        ({"tasks": 11}, "`tasks` must be from 1 to 10, or names, not 11"),
        ({"tasks": ["tree"]}, "unknown task 'tree'. Did you mean 'three'?"),
    ],
)
def test_other_arguments_are_refused(written, arguments, message):
    with pytest.raises(ValueError, match=message):
        mnist.load(written, **(FEW | arguments))


def test_the_digest_is_of_all_four_files(written):
    parts = ("train images", "train labels", "test images", "test labels")
    text = "".join(
        f"{part} {hashlib.sha256((written / name).read_bytes()).hexdigest()}\n"
        for part, name in zip(parts, NAMES, strict=True)
    )
    assert mnist.digest(written) == hashlib.sha256(text.encode()).hexdigest()
