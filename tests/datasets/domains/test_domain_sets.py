import os
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from mtlgym.datasets.audit import audit
from mtlgym.datasets.domains import sets
from mtlgym.datasets.domains.split import split
from mtlgym.datasets.formats.arrays import write_arrays
from tests.datasets.domains.domain_data import CLASSES, features, write

NAMES = ("Art", "Clipart", "Product", "Real World")
TASKS = ("art", "clipart", "product", "real_world")
REAL = Path(os.environ.get("MTLGYM_DATA") or "nowhere") / "office_caltech"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The folder of Office-Home, empty."""
    monkeypatch.setenv("MTLGYM_DATA", str(tmp_path))
    (tmp_path / "office_home").mkdir()
    return tmp_path / "office_home"


def samples(at):
    """Features and labels from 1 of domain number `at`, of all three classes."""
    labels = 1 + np.random.default_rng(at).permutation(np.arange(6 + at) % 3)
    return features(len(labels), at), labels


def write_files(folder, names=NAMES, suffix=".npz", end=""):
    for at, name in enumerate(names):
        write(folder / f"{name}{end}{suffix}", *samples(at))


def write_cache(folder, name, domains=TASKS):
    """What `mtlgym data features` leaves."""
    for at, domain in enumerate(domains):
        x, labels = samples(at)
        path = folder / "features" / name / f"{domain}.npz"
        arrays = {"features": x, "labels": labels - 1, "classes": np.array(CLASSES)}
        path.with_name(f"{domain}.npz.sha256").write_text(write_arrays(path, arrays))


def damage(path):
    path.write_bytes(path.read_bytes()[:-30])


@pytest.mark.parametrize("suffix", [".mat", ".npz", ".npy"])
@pytest.mark.parametrize("end", ["", "_resnet50"])
@pytest.mark.parametrize("choice", ["auto", "files"])
def test_files_of_all_formats_give_the_same(home, suffix, end, choice):
    write_files(home, suffix=suffix, end=end)
    found, source = sets.load("office_home", "real", choice)
    assert (found.tasks, found.classes, found.width) == (TASKS, ("1", "2", "3"), 3)
    assert found.groups is None
    for at in range(4):
        x, labels = samples(at)
        assert_array_equal(found.features[at], x)
        assert_array_equal(found.labels[at], labels - 1)
    assert (source.name, source.kind, source.path) == ("office_home", "real", home)
    assert audit("office_home")[home] == ""


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_the_digest_is_of_what_is_read(home, suffix):
    write_files(home, suffix=suffix)
    first = sets.load("office_home")[1]
    assert sets.load("office_home")[1] == first
    write(home / f"else{suffix}", *samples(8))
    assert sets.load("office_home")[1] == first
    x, labels = samples(0)
    write(home / f"Art{suffix}", x, labels[::-1].copy())
    assert sets.load("office_home")[1].sha256 != first.sha256


@pytest.mark.parametrize("first", [0, 1])
def test_bare_labels_of_office_caltech_get_its_names(home, first):
    folder, labels = home.with_name("office_caltech"), np.arange(10)
    for each in ("amazon", "webcam", "dslr", "Caltech10"):
        write(folder / f"{each}_SURF_L10.mat", features(10), labels + first)
    found, _ = sets.load("office_caltech", "real")
    assert found.classes[:2] == ("back_pack", "bike")
    assert found.tasks == ("amazon", "webcam", "dslr", "caltech")
    write(folder / "dslr_SURF_L10.mat", features(9), labels[:9] + first)
    with pytest.raises(ValueError, match=r"'dslr' must be .*: it lacks \['projector'\]$"):
        sets.load("office_caltech")


@pytest.mark.parametrize(
    ("wrong", "said"), [(11, "11"), (-1, "-1"), (range(11), "from 0 to 10"), (2**20, "1048576")]
)
def test_bare_labels_without_a_name_are_refused_with_their_domain(home, wrong, said):
    folder, labels = home.with_name("office_caltech"), np.arange(1, 11)
    for each in ("amazon", "dslr", "caltech"):
        write(folder / f"{each}.npz", features(10), labels)
    labels = np.append(labels, wrong)
    write(folder / "webcam.npz", features(len(labels)), labels)
    text = f"labels of domain 'webcam' must be from 0 to 9 or from 1 to 10, not {said}"
    with pytest.raises(ValueError, match=f"^{text}$"):
        sets.load("office_caltech")


@pytest.mark.parametrize("features", ["files", "vit"])
def test_embedded_data_have_features_of_their_own(features):
    assert sets.load("imageclef", "embedded", "auto")[1].kind == "embedded"
    with pytest.raises(
        ValueError, match=rf"`features` must be 'auto' with embedded .* not '{features}'"
    ):
        sets.load("imageclef", "embedded", features)


def test_a_cache_is_read_by_name_and_by_itself(home):
    write_cache(home, "lite")
    for choice in ("auto", "lite"):
        found, source = sets.load("office_home", "real", choice)
        assert (found.tasks, found.classes) == (TASKS, CLASSES)
        assert source.path == home / "features" / "lite"
    write_cache(home, "vit")
    with pytest.raises(
        ValueError, match=r"`features` must name one of lite, vit, as .* not 'auto'"
    ):
        sets.load("office_home")
    assert sets.load("office_home", features="vit")[0].classes == CLASSES
    with pytest.raises(ValueError, match=r"unknown `features` 'vitt'. Did you mean 'vit'"):
        sets.load("office_home", features="vitt")
    write_files(home)
    assert sets.load("office_home")[1].path == home
    assert audit("office_home")[home] == ""


def test_missing_domains_are_named(home):
    write_files(home, NAMES[:2])
    with pytest.raises(FileNotFoundError, match=r"no features of 'product', 'real_world': .*\.mat"):
        sets.load("office_home")
    write_cache(home, "lite", TASKS[1:])
    wanted = r"no features of 'art': .*--backbone BACKBONE.*lite.backbone\.json"
    with pytest.raises(FileNotFoundError, match=wanted):
        sets.load("office_home", features="lite")
    assert audit("office_home")[home] == ""  # what is there is sound


def test_several_files_of_a_domain_are_named(home):
    write_files(home)
    write_files(home, suffix=".mat")
    with pytest.raises(
        ValueError, match=r"'art' must have one feature file in .*: Art.mat, Art.np"
    ):
        sets.load("office_home")


def test_images_alone_say_how_to_get_features(home):
    place = home / "Real World" / "Alarm_Clock"
    place.mkdir(parents=True)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(place / "00001.JPG")
    message = "`mtlgym data features office_home --backbone efficientnet_lite0`"
    for choice in ("auto", "files"):
        with pytest.raises(FileNotFoundError) as caught:
            sets.load("office_home", "real", choice)
        assert "office_home" in str(caught.value)
        assert (message in str(caught.value)) == (choice == "auto")
    assert audit("office_home")[home] == ""
    (place / "00001.JPG").write_bytes(b"no image")
    assert "00001.JPG cannot be decoded" in audit("office_home")[home]


@pytest.mark.parametrize("file", ["Clipart.npz", "features/lite/clipart.npz"])
def test_a_damaged_file_is_named_by_load_and_audit(home, file):
    write_files(home)
    write_cache(home, "lite")
    damage(home / file)
    assert Path(file).name in audit("office_home")[home]
    with pytest.raises(ValueError, match=Path(file).name):
        sets.load("office_home", features="lite" if "/" in file else "files")


def test_features_that_are_not_finite_are_named_by_domain_and_class(home):
    write_files(home)
    x, labels = samples(1)
    x[4, 2] = np.nan
    write(home / "Clipart.npz", x, labels)
    message = f"feature 2 of sample 4 of domain 'clipart', of class '{labels[4]}', must be finite"
    with pytest.raises(ValueError, match=message):
        sets.load("office_home")
    assert message in audit("office_home")[home]


def test_unknown_sets_get_a_suggestion(tmp_path):
    with pytest.raises(
        ValueError, match=r"unknown domain set 'officehome'. Did you mean 'office_h"
    ):
        sets.load("officehome")
    with pytest.raises(ValueError, match="unknown domain set"):
        sets.verify(tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the files of Office-Caltech")
def test_the_real_office_caltech_is_read():
    found, source = sets.load("office_caltech", "real")
    assert [len(each) for each in found.labels] == [958, 295, 157, 1123]
    assert len(found.classes) == 10
    assert source.kind == "real"
    parts = split(found, 0.1, 0.2, 0)
    assert all(
        len(np.unique(y[own])) == 10 for y, own in zip(found.labels, parts["train"], strict=True)
    )
