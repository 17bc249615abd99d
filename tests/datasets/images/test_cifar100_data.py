import hashlib
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mtlgym import checks
from mtlgym.datasets import sources
from mtlgym.datasets.audit import audit
from mtlgym.datasets.images import cifar100
from mtlgym.datasets.images.image_tasks import SPLITS
from tests.datasets.formats.pickles import python2

TRAIN, TEST = 20, 3  # images of a class
OF = np.random.default_rng(1).permutation(np.repeat(np.arange(20), 5))  # superclass of each class
COARSE = [f"group_{chr(116 - each)}".encode() for each in range(20)]
FINE = [f"class_{each:02d}".encode() for each in range(100)]


def rows(part, each):
    rng = np.random.default_rng([part, each])
    fine = rng.permutation(np.repeat(np.arange(len(FINE)), each))
    return {
        b"filenames": [b"x_%06d.png" % i for i in range(len(fine))],
        b"batch_label": b"training batch 1 of 1",
        b"fine_labels": fine.tolist(),
        b"coarse_labels": OF[fine].tolist(),
        b"data": rng.integers(0, 256, (len(fine), 3072), dtype=np.uint8),
    }


@pytest.fixture(scope="module")
def entries():
    meta = {b"fine_label_names": FINE, b"coarse_label_names": COARSE}
    return {"train": rows(0, TRAIN), "test": rows(1, TEST), "meta": meta}


@pytest.fixture(scope="module")
def written(tmp_path_factory, entries):
    return write(tmp_path_factory.mktemp("cifar100") / "cifar-100-python", entries).parent


def write(folder, entries):
    folder.mkdir(parents=True, exist_ok=True)
    for name, each in entries.items():
        (folder / name).write_bytes(python2(each))
    return folder


def small(**changes):
    """Entries of two superclasses with two classes each, as keyword `file__key` changes them."""
    of = [1, 0, 1, 0]
    found: dict[str, dict[bytes, Any]] = {}
    found["meta"] = {b"fine_label_names": FINE[:4], b"coarse_label_names": COARSE[:2]}
    for part in ("train", "test"):
        fine = [3, 0, 1, 2, 2, 1, 0, 3]
        found[part] = {
            b"fine_labels": fine,
            b"coarse_labels": [of[each] for each in fine],
            b"data": np.arange(8 * 3072, dtype=np.uint8).reshape(8, 3072),
        }
    for name, value in changes.items():
        part, key = name.split("__")
        found[part][key.encode()] = value
    return found


def oracle(folder, part):
    """(task, label, pixels) of each row as Python's own unpickler reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the module that NumPy 2 moved
        found = pickle.loads((folder / "cifar-100-python" / part).read_bytes(), encoding="bytes")
    for row, fine, coarse in zip(
        found[b"data"], found[b"fine_labels"], found[b"coarse_labels"], strict=True
    ):
        members = [each for each in range(100) if OF[each] == coarse]
        yield coarse, members.index(fine), bytes(row)


def samples(split):
    """(task, label, row of the file) of each sample, in order."""
    rows = split.images.transpose(0, 3, 1, 2).reshape(len(split.images), -1)
    for index, task, label in zip(split.index, split.task, split.label, strict=True):
        yield int(task), int(label), bytes(rows[index])


def same(one, other):
    assert one.tasks == other.tasks
    assert one.classes == other.classes
    for name in SPLITS:
        for part in ("index", "task", "label", "images"):
            assert_array_equal(getattr(one.splits[name], part), getattr(other.splits[name], part))


def test_the_samples_are_those_that_pythons_unpickler_reads(written):
    found = cifar100.load(written)
    assert list(samples(found.splits["test"])) == list(oracle(written, "test"))
    both = [*samples(found.splits["train"]), *samples(found.splits["val"])]
    assert sorted(both) == sorted(oracle(written, "train"))
    assert found.splits["test"].images.shape == (TEST * 100, 32, 32, 3)


def test_tasks_and_classes_have_the_files_names(written):
    found = cifar100.load(written)
    assert found.tasks == tuple(name.decode() for name in COARSE)
    for task, classes in enumerate(found.classes):
        assert classes == tuple(FINE[each].decode() for each in range(100) if OF[each] == task)
        assert len(classes) == 5


@pytest.mark.parametrize(("share", "count"), [(0.1, 2), (0.5, 10), (0.001, 1), (0.999, TRAIN - 1)])
def test_the_share_of_each_class_is_held_out_and_always_the_same(written, share, count):
    found = cifar100.load(written, validation=share)
    for name, each in (("val", count), ("train", TRAIN - count)):
        split = found.splits[name]
        pairs = np.bincount(split.task * 5 + split.label, minlength=100)
        assert_array_equal(pairs, np.full(100, each))
    train, val = (set(found.splits[name].index.tolist()) for name in ("train", "val"))
    assert not train & val
    same(found, cifar100.load(written, validation=share))


def test_some_tasks_have_the_samples_that_they_have_among_all(written):
    names = [COARSE[7].decode(), COARSE[2].decode()]
    whole, some = cifar100.load(written), cifar100.load(written, names)
    assert some.tasks == tuple(names)
    for name in SPLITS:
        expected = [
            ({7: 0, 2: 1}[task], label, row)
            for task, label, row in samples(whole.splits[name])
            if task in (7, 2)
        ]
        assert list(samples(some.splits[name])) == expected
    assert cifar100.load(written, 3).tasks == whole.tasks[:3]
    same(cifar100.load(written, 20), whole)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (0, "`tasks` must be from 1 to 20, or names, not 0"),
        (21, "from 1 to 20"),
        (True, "sequence of names, not True"),
        ("group_t", "sequence of names"),
        (["group_z", "groop_a"], "unknown task 'group_z'"),
        (["groop_a"], "Did you mean 'group_a'"),
        (["group_a", "group_a"], "each once"),
        ([], "at least one"),
    ],
)
def test_other_tasks_are_refused(written, tasks, message):
    with pytest.raises(ValueError, match=message):
        cifar100.load(written, tasks)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5, float("nan"), float("inf")])
def test_other_shares_are_refused(written, share):
    with pytest.raises(ValueError, match="`validation` must be a number above 0 and below 1, not"):
        cifar100.load(written, validation=share)


@pytest.mark.parametrize("share", [0, 1, True, "half", None, 0.5j])
def test_a_share_is_a_number_within_0_and_1(share):
    with pytest.raises(ValueError, match="`x` must be a number above 0 and below 1, not"):
        checks.share("x", share)
    checks.share("x", np.float32(0.5))


def test_tasks_are_chosen_by_name_or_number_or_all():
    known = ("b", "a", "c")
    assert checks.some_tasks(None, iter(known)) == known
    assert checks.some_tasks(2, known) == checks.some_tasks(np.int64(2), known) == ("b", "a")
    assert checks.some_tasks(["c", "b"], known) == ("c", "b")
    for wrong in (2.0, {"a"}, "a", -1, 4):
        with pytest.raises(ValueError, match="`tasks` must be"):
            checks.some_tasks(wrong, known)


def test_the_files_may_lie_in_the_folder_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("MTLGYM_DATA", str(tmp_path))
    assert sources.find("cifar100") is None
    folder = write(tmp_path / "cifar100", small())
    assert sources.choose("real", "cifar100") == folder
    direct, digest = cifar100.load(folder), cifar100.digest(folder)
    for name in ("train", "test", "meta"):
        (folder / "cifar-100-python").mkdir(exist_ok=True)
        (folder / name).rename(folder / "cifar-100-python" / name)
    assert sources.choose("real", "cifar100") == folder
    same(direct, cifar100.load(folder))
    assert cifar100.digest(folder) == digest


def test_labels_are_ranks_within_the_superclass(tmp_path):
    found = cifar100.load(write(tmp_path, small()))
    assert found.classes == (("class_01", "class_03"), ("class_00", "class_02"))
    assert found.splits["test"].task.tolist() == [0, 1, 0, 1, 1, 0, 1, 0]
    assert found.splits["test"].label.tolist() == [1, 0, 0, 1, 1, 0, 0, 1]


def test_keys_and_names_may_be_text(tmp_path):
    folder = write(tmp_path, small())
    before = cifar100.load(folder)
    for name, each in small().items():
        text = {
            key.decode(): [name.decode() if isinstance(name, bytes) else name for name in value]
            if isinstance(value, list)
            else value
            for key, value in each.items()
        }
        (folder / name).write_bytes(pickle.dumps(text, 4))
    same(before, cifar100.load(folder))


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_a_missing_file_is_named_and_so_is_the_way_to_it(tmp_path, name):
    write(tmp_path / "cifar-100-python", small())
    (tmp_path / "cifar-100-python" / name).unlink()
    for function in (cifar100.load, cifar100.digest, cifar100.verify):
        with pytest.raises(FileNotFoundError, match=f"{name} is missing") as caught:
            function(tmp_path)
        assert sources.DATASETS["cifar100"].remedy in str(caught.value)


PIXELS = np.zeros((8, 3072), np.uint8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"train__data": PIXELS[:, 1:]},
            r"'data' of .*train must be \(images, 3072\), not \(8, 3071\)",
        ),
        ({"test__data": PIXELS.reshape(8, 32, 96)}, r"'data' of .*test must be .* \(8, 32, 96\)"),
        ({"test__data": PIXELS[:0]}, r"'data' of .*test must be .* \(0, 3072\)"),
        ({"test__data": PIXELS.astype(np.int64)}, "'data' of .*test must be an array of uint8"),
        ({"test__data": [1, 2]}, "'data' of .*test must be an array of uint8"),
        ({"train__data": PIXELS[:7]}, "'fine_labels' of .*train must be a list of 7 labels"),
        ({"train__coarse_labels": [0] * 7}, "'coarse_labels' of .*train must be a list of 8"),
        ({"train__fine_labels": 5}, "'fine_labels' of .*train must be a list of 8"),
        (
            {"train__fine_labels": [0] * 7 + [4]},
            "label 7 in 'fine_labels' .*train must be .* 0 to 3, not 4",
        ),
        ({"train__fine_labels": [-1] * 8}, "label 0 in 'fine_labels' .*from 0 to 3, not -1"),
        ({"train__fine_labels": [0.0] * 8}, "from 0 to 3, not 0.0"),
        ({"test__coarse_labels": [True] * 8}, "from 0 to 1, not True"),
        ({"test__fine_labels": [0, 1, 2, 1, 2, 1, 0, 0]}, "test has no image of 'class_03'"),
        (
            {"train__coarse_labels": [0, 1, 0, 1, 1, 0, 0, 0]},
            "train has images of 'class_00' in two superclasses",
        ),
        (
            {"test__coarse_labels": [0, 1, 1, 1, 1, 1, 1, 0]},
            "'class_01' is in the superclass 'group_t' in .*train, but in 'group_s' in .*test",
        ),
        (
            {"meta__coarse_label_names": COARSE[:3]},
            "train has no image of 'group_r'",
        ),
        ({"meta__fine_label_names": FINE[:3]}, "from 0 to 2, not 3"),
        ({"meta__fine_label_names": FINE[:5]}, "train has no image of 'class_04'"),
        ({"meta__fine_label_names": FINE[:3] * 2}, "'fine_label_names' of .*meta must .* once"),
        ({"meta__fine_label_names": []}, "'fine_label_names' of .*meta must have a name"),
        ({"meta__coarse_label_names": b"x"}, "'coarse_label_names' of .*meta must be a list"),
        ({"meta__coarse_label_names": [1, 2]}, "'coarse_label_names' of .*meta must be a list"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, change, message):
    folder = write(tmp_path, small(**change))
    for function in (cifar100.load, cifar100.verify):
        with pytest.raises(ValueError, match=message):
            function(folder)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("train", b"data"),
        ("test", b"fine_labels"),
        ("test", b"coarse_labels"),
        ("meta", b"fine_label_names"),
        ("meta", b"coarse_label_names"),
    ],
)
def test_a_missing_entry_is_named_with_those_that_are_there(tmp_path, name, key):
    entries = small()
    del entries[name][key]
    entries[name] |= {b"\xff": 1, 5: 2}
    folder = write(tmp_path, entries)
    message = f"{name} must have an entry '{key.decode()}'; it has 5, .*\xff"
    with pytest.raises(ValueError, match=message):
        cifar100.load(folder)


def test_a_class_with_one_training_image_is_named(tmp_path):
    fine = [3, 0, 1, 2, 2, 1, 0, 2]
    change = {
        "train__fine_labels": fine,
        "train__coarse_labels": [[1, 0][each % 2] for each in fine],
    }
    folder = write(tmp_path, small(**change))
    with pytest.raises(ValueError, match="train: class 3: at least 2 samples are needed, not 1"):
        cifar100.load(folder)


def test_a_hostile_file_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("MTLGYM_DATA", str(tmp_path))
    folder = write(tmp_path / "cifar100" / "cifar-100-python", small()).parent
    assert audit("cifar100")[folder] == ""
    path = folder / "cifar-100-python" / "meta"
    path.write_bytes(b"cos\nsystem\n(S'id'\ntR.")
    with pytest.raises(ValueError, match=r"cifar-100-python/meta .* asks for os.system"):
        cifar100.load(folder)
    assert "asks for os.system" in audit("cifar100")[folder]


def test_the_digest_is_of_all_three_files(tmp_path):
    folder = write(tmp_path, small())
    text = "".join(
        f"{name} {hashlib.sha256((folder / name).read_bytes()).hexdigest()}\n"
        for name in ("train", "test", "meta")
    )
    assert cifar100.digest(folder) == hashlib.sha256(text.encode()).hexdigest()
