import csv
import hashlib
import io
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from mtlgym.datasets import sources
from mtlgym.datasets.audit import audit
from mtlgym.datasets.formats import image_cache
from mtlgym.datasets.formats.arrays import sha256
from mtlgym.datasets.images import mini_imagenet
from mtlgym.datasets.images.image_tasks import SPLITS

CLASSES = [f"n{number:08d}" for number in range(900, 952)]  # two more than the tasks take
EACH = 7  # images of a class
FEW = {"train": 4, "test": 2}
LISTS = {"train": CLASSES[:30], "val": CLASSES[30:40], "test": CLASSES[40:]}
LAYOUTS = ("lists", "parts", "classes")


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


@cache
def image(name, number):
    """One colour an image, so that it tells which one it is."""
    return png(np.full((9, 8, 3), [CLASSES.index(name), number, 77], np.uint8))


def place(folder, layout, part, name):
    return folder / {"lists": "images", "parts": f"{part}/{name}", "classes": name}[layout]


def write(folder, layout="lists"):
    for part, names in LISTS.items():
        rows = [("filename", "label")]
        for name in names:
            place(folder, layout, part, name).mkdir(parents=True, exist_ok=True)
            for number in range(EACH):
                file = f"{name}{number:04d}.png"
                (place(folder, layout, part, name) / file).write_bytes(image(name, number))
                rows.append((file, name))
        if layout == "lists":
            with (folder / f"{part}.csv").open("w", newline="") as file:
                csv.writer(file).writerows(rows)
    return folder


def change(path, at, line):
    """Put another line in the place of line `at`, counted from 1."""
    lines = path.read_text().splitlines()
    lines[at - 1] = line
    path.write_text("\n".join(lines))


def same(one, other):
    assert one.tasks == other.tasks
    assert one.classes == other.classes
    for name in SPLITS:
        for part in ("index", "task", "label", "images"):
            assert_array_equal(getattr(one.splits[name], part), getattr(other.splits[name], part))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """For tests that change nothing in it."""
    return write(tmp_path_factory.mktemp("mini_imagenet"))


@pytest.fixture(scope="module")
def found(shared):
    return mini_imagenet.load(shared, **FEW)


def test_ten_tasks_have_five_classes_each_and_none_is_in_two(found):
    assert found.tasks == tuple(f"task_{number}" for number in range(10))
    names = [name for classes in found.classes for name in classes]
    assert all(len(classes) == 5 for classes in found.classes)
    assert len(set(names)) == 50
    assert set(names) < set(CLASSES)
    assert names != sorted(names)


def test_a_sample_is_an_image_of_its_class_and_in_one_split_alone(found):
    seen = []
    for name, count in (("train", 3), ("val", 1), ("test", 2)):
        split = found.splits[name]
        assert split.images.shape[1:] == (84, 84, 3)
        assert_array_equal(np.bincount(split.task * 5 + split.label), np.full(50, count))
        for index, task, label in zip(split.index, split.task, split.label, strict=True):
            own, number, _ = split.images[index][40, 40]
            assert CLASSES[own] == found.classes[task][label]
            assert_array_equal(split.images[index], np.broadcast_to([own, number, 77], (84, 84, 3)))
            seen.append((own, number))
    assert len(set(seen)) == len(seen) == 50 * 6
    assert len({number for _, number in seen}) == EACH  # not the first ones of each class


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_layouts_give_the_same(tmp_path, monkeypatch, found, layout):
    monkeypatch.setenv("MTLGYM_DATA", str(tmp_path))
    assert sources.find("mini_imagenet") is None
    folder = write(tmp_path / "mini_imagenet", layout)
    assert sources.choose("real", "mini_imagenet") == folder
    same(mini_imagenet.load(folder, **FEW), found)
    assert set(audit("mini_imagenet").values()) - {""} <= {
        damage for damage in audit("mini_imagenet").values() if "emoji.npz" in damage
    }


def test_the_share_is_of_the_training_images_and_a_class_may_have_fewer_of_these(shared):
    for share, train, val in ((0.5, 2, 2), (0.01, 3, 1), (0.99, 1, 3)):
        data = mini_imagenet.load(shared, validation=share, **FEW)
        assert [len(data.splits[name]) // 50 for name in SPLITS] == [train, val, 2]
    data = mini_imagenet.load(shared, test=3)
    assert [len(data.splits[name]) // 50 for name in SPLITS] == [3, 1, 3]


def test_some_tasks_have_the_samples_that_they_have_among_all(shared, found):
    some = mini_imagenet.load(shared, ["task_6", "task_2"], **FEW)
    assert some.classes == (found.classes[6], found.classes[2])
    for name in SPLITS:
        for number, task in enumerate((6, 2)):
            one, all_ = some.splits[name], found.splits[name]
            assert_array_equal(
                one.images[one.index[one.task == number]],
                all_.images[all_.index[all_.task == task]],
            )
    assert mini_imagenet.load(shared, 1, **FEW).tasks == ("task_0",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"validation": 1.0}, "`validation` must be a number above 0 and below 1, not 1"),
        ({"train": 1}, "`train` must be an integer of at least 2, not 1"),
        ({"test": 0}, "`test` must be an integer of at least 1, not 0"),
        ({"tasks": 11}, "`tasks` must be from 1 to 10"),
        ({"tasks": ["task0"]}, "unknown task 'task0'. Did you mean 'task_0'"),
        ({"test": 6}, "the class 'n00000[0-9]*' has 7 images in .*; 8 are needed, 6 for test"),
        ({"test": 50}, "52 are needed, 50 for test"),
    ],
)
def test_other_arguments_are_refused(shared, arguments, message):
    with pytest.raises(ValueError, match=message):
        mini_imagenet.load(shared, **(FEW | arguments))


def weights(side, size):
    """Row i: how much of each pixel of the larger side, (size,), is in pixel i of the other."""
    scale = max(size / side, 1.0)
    away = (np.arange(size) + 0.5 - (np.arange(side)[:, None] + 0.5) * size / side) / scale
    triangle = np.maximum(1 - np.abs(away), 0)
    return triangle / triangle.sum(1, keepdims=True)


@pytest.mark.parametrize(("height", "width"), [(84, 84), (84, 99), (130, 84), (200, 301), (50, 31)])
def test_an_image_is_the_square_in_its_middle_resized_by_a_triangle_filter(tmp_path, height, width):
    path, edge = tmp_path / "x.png", min(height, width)
    array = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path.write_bytes(png(array))
    top, left = (height - edge) // 2, (width - edge) // 2
    square = array[top : top + edge, left : left + edge]
    expected = np.einsum("ai,ijc,bj->abc", *(w := weights(84, edge), square, w), optimize=True)
    result = image_cache.decode(path, 84)
    assert result.dtype == np.uint8
    assert np.abs(result - expected).max() < 1.5  # it rounds after each of the two passes
    if edge == 84:
        assert_array_equal(result, square)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_images_of_other_modes_become_red_green_and_blue(tmp_path, mode):
    path = tmp_path / "x.jpg"
    Image.new("RGB", (84, 84), "white").convert(mode).save(
        path, "JPEG" if mode == "CMYK" else "PNG"
    )
    assert_array_equal(image_cache.decode(path, 84), np.full((84, 84, 3), 255))


def test_a_second_load_decodes_nothing(tmp_path, monkeypatch, found):
    folder = write(tmp_path)
    mini_imagenet.load(folder, **FEW)
    monkeypatch.setattr(image_cache, "decode", None)
    data = mini_imagenet.load(folder, **FEW)
    same(data, found)
    assert isinstance(data.splits["train"].images, np.memmap)
    mini_imagenet.load(folder, validation=0.5, train=2, test=3)  # other samples of the same images


def test_an_image_of_another_size_is_decoded_anew(tmp_path):
    folder = write(tmp_path)
    before = mini_imagenet.load(folder, **FEW)
    name = before.classes[0][0]
    for number in range(EACH):
        (folder / "images" / f"{name}{number:04d}.png").write_bytes(
            png(np.full((84, 84, 3), [5, 5, 5], np.uint8)) + bytes(9)
        )
    after = mini_imagenet.load(folder, **FEW).splits["test"]
    assert after.images[after.index[0]].tolist() == np.full((84, 84, 3), 5).tolist()
    assert after.images[after.index[-1]].max() == 77


def test_an_interrupted_load_leaves_nothing_behind(tmp_path):
    folder = write(tmp_path)
    before, name = sorted(folder.iterdir()), mini_imagenet.load(folder, **FEW).classes[9][4]
    for path in set(folder.iterdir()) - set(before):
        path.unlink()
    bad = folder / "images" / f"{name}0006.png"
    whole = bad.read_bytes()
    for content in (b"", whole[:40], b"GIF89a" + whole, b"<svg/>"):
        bad.write_bytes(content)
        for function in (mini_imagenet.verify, lambda folder: mini_imagenet.load(folder, **FEW)):
            with pytest.raises(ValueError, match=f"{bad} cannot be decoded"):
                function(folder)
        assert sorted(folder.iterdir()) == before


def test_a_damaged_cache_is_named_and_an_incomplete_one_made_again(tmp_path, monkeypatch, found):
    monkeypatch.setenv("MTLGYM_DATA", str(tmp_path))
    folder = write(tmp_path / "mini_imagenet")
    mini_imagenet.load(folder, **FEW)
    (path,) = folder.glob("decoded-*.npy")
    content = bytearray(path.read_bytes())
    content[999] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} is damaged"):
        mini_imagenet.load(folder, **FEW)
    assert "is damaged" in audit("mini_imagenet")[path]
    for each in (path, path.with_name(f"{path.name}.sha256")):
        each.unlink()
        same(mini_imagenet.load(folder, **FEW), found)
        assert audit("mini_imagenet")[path] == ""


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    folder = write(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(image_cache, "write_atomically", full)
    with pytest.raises(OSError, match=r"decoded images cannot be kept \(No space left.*decoded-84"):
        mini_imagenet.load(folder, **FEW)
    assert not [*folder.glob("*.part"), *folder.glob(".*"), *folder.glob("*.sha256")]


@pytest.mark.parametrize(
    ("at", "line", "message"),
    [
        (1, "file,label", "train.csv .* line 1 must be filename,label, not file,label"),
        (3, "x.png", "train.csv .* line 3 must be a file's name and a label"),
        (3, "x.png,a,b", "train.csv .* line 3 must be a file's name and a label"),
        (3, ",n01", "train.csv .* line 3 must be a file's name and a label"),
        (4, 'x.png,"n01', "train.csv is damaged, or no such list"),
        (5, f"{CLASSES[0]}0000.png,{CLASSES[1]}", "train.csv, line 5: .* before, in .*line 2"),
    ],
)
def test_a_list_of_another_form_is_named_with_its_line(tmp_path, at, line, message):
    folder = write(tmp_path)
    change(folder / "train.csv", at, line)
    for function in (mini_imagenet.load, mini_imagenet.verify, mini_imagenet.digest):
        with pytest.raises(ValueError, match=message):
            function(folder)


def test_a_list_that_is_not_text_is_named(tmp_path):
    folder = write(tmp_path)
    (folder / "val.csv").write_bytes(b"filename,label\n\xff.png,n01\n")
    with pytest.raises(ValueError, match=r"val.csv is damaged, or no such list: 'utf-8'"):
        mini_imagenet.load(folder)


def test_a_listed_file_that_is_missing_is_named_with_list_and_line(tmp_path):
    folder = write(tmp_path)
    change(folder / "val.csv", 6, "x.png,n01")
    with pytest.raises(FileNotFoundError, match=r"val.csv, line 6: .*images/x.png is missing"):
        mini_imagenet.load(folder)
    (folder / "val.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"val.csv is missing\. Put there the folder"):
        mini_imagenet.load(folder)


def test_marks_at_the_start_and_empty_lines_of_lists_change_nothing(tmp_path, found):
    folder = write(tmp_path)
    path = folder / "test.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\r\n\r\n")
    same(mini_imagenet.load(folder, **FEW), found)


@pytest.mark.parametrize("layout", ["parts", "classes"])
def test_a_class_without_images_and_too_few_classes_are_named(tmp_path, layout):
    folder = write(tmp_path, layout)
    empty = place(folder, layout, "train", CLASSES[3])
    for path in empty.iterdir():
        path.rename(path.with_suffix(".txt"))
    with pytest.raises(ValueError, match=f"the class '{CLASSES[3]}' has no image in {empty}"):
        mini_imagenet.load(folder)
    for name in CLASSES[3:6]:
        place(folder, layout, "train", name).rename(tmp_path / f".{name}")
    with pytest.raises(ValueError, match=f"{folder} must have images of 50 classes, not of 49"):
        mini_imagenet.load(folder)


def test_a_folder_without_images_says_how_to_get_them(tmp_path):
    for function in (mini_imagenet.load, mini_imagenet.verify, mini_imagenet.digest):
        with pytest.raises(FileNotFoundError, match="no image in") as caught:
            function(tmp_path)
        assert sources.DATASETS["mini_imagenet"].remedy in str(caught.value)


def test_the_digest_is_of_names_and_sizes(tmp_path):
    folder = write(tmp_path)
    lines = [
        f"images/{name}{number:04d}.png {len(image(name, number))}\n"
        for name in CLASSES
        for number in range(EACH)
    ]
    assert mini_imagenet.digest(folder) == hashlib.sha256("".join(lines).encode()).hexdigest()
    mini_imagenet.load(folder, **FEW)  # what is kept is not in it
    assert mini_imagenet.digest(folder) == hashlib.sha256("".join(lines).encode()).hexdigest()
    (path,) = folder.glob("decoded-*.npy")
    assert path.with_name(f"{path.name}.sha256").read_text().strip() == sha256(path)
