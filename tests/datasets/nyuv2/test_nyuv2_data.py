import builtins

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from mtlgym.datasets.audit import audit
from mtlgym.datasets.frames import CLASSES
from mtlgym.datasets.nyuv2 import hub, nyuv2
from mtlgym.datasets.nyuv2 import nyuv2 as split
from mtlgym.datasets.nyuv2.files import KINDS, FolderFrames
from mtlgym.datasets.rooms import rooms

SIZE = 12, 16
COUNTS = {"train": 3, "val": 4}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MTLGYM_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def frames():
    """Frames to write down, by part."""
    views = rooms.Rooms(*SIZE)
    return {
        part: [views.frame(10 * k + i) for i in range(COUNTS[part])]
        for k, part in enumerate(COUNTS)
    }


def write(folder, frames, label=np.float32):
    """The frames as MTAN lays them out."""
    for part, some in frames.items():
        for i, frame in enumerate(some):
            arrays = {
                "image": frame.image.astype(np.float64),
                "label": frame.label.astype(label),
                "depth": frame.depth[..., None],
                "normal": frame.normal,
            }
            for kind, array in arrays.items():
                (folder / part / kind).mkdir(parents=True, exist_ok=True)
                np.save(folder / part / kind / f"{i}.npy", array)


def write_hub(folder, frames, names=("image", "segmentation", "depth", "normal"), rows=2):
    """The frames as the hub's parquet files, `rows` in each."""
    (folder / "data").mkdir(parents=True)
    for part, some in frames.items():
        for start in range(0, len(some), rows):
            chunk = some[start : start + rows]
            columns = [
                [frame.image.transpose(2, 0, 1).tolist() for frame in chunk],
                [frame.label.tolist() for frame in chunk],
                [frame.depth[None].tolist() for frame in chunk],
                [frame.normal.transpose(2, 0, 1).tolist() for frame in chunk],
            ]
            numbers = [pyarrow.float32(), pyarrow.int64(), pyarrow.float32(), pyarrow.float32()]
            arrays = [
                pyarrow.array(column, nested(number, 2 if number == pyarrow.int64() else 3))
                for column, number in zip(columns, numbers, strict=True)
            ]
            table = pyarrow.table([*arrays, pyarrow.array(range(len(chunk)))], [*names, "noise"])
            path = folder / "data" / f"{part}-{start:05d}-of-00009.parquet"
            parquet.write_table(table, path, row_group_size=1)


def nested(number, depth):
    return number if depth == 0 else pyarrow.list_(nested(number, depth - 1))


def same(one, other):
    return all(
        np.allclose(getattr(one, name), getattr(other, name), atol=1e-6)
        and getattr(one, name).dtype == getattr(other, name).dtype
        for name in ("image", "label", "depth", "normal")
    )


@pytest.mark.parametrize("label", [np.float32, np.float64, np.int8, np.int64])
def test_files_are_read_back_as_they_were(root, frames, label):
    write(root / "nyuv2", frames, label)
    found, indices, source = nyuv2.load("real")
    assert (found.height, found.width) == SIZE
    assert source.kind == "real"
    assert source.path == root / "nyuv2"
    flat = [*frames["train"], *frames["val"]]
    assert all(same(found.frame(i), frame) for i, frame in enumerate(flat))
    assert indices["train"].tolist() == [0, 1, 2]
    assert sorted([*indices["val"], *indices["test"]]) == [3, 4, 5, 6]
    assert len(indices["val"]) == 2
    assert same(nyuv2.load()[0].frame(0), flat[0])  # and without a warning


def test_the_digest_is_of_names_sizes_shapes_and_types(root, frames):
    folder = root / "nyuv2"
    write(folder, frames)
    before = FolderFrames(folder).sha256
    assert FolderFrames(folder).sha256 == before
    np.save(folder / "val" / "label" / "1.npy", frames["val"][1].label)
    assert FolderFrames(folder).sha256 != before


def test_normals_get_unit_length_and_short_ones_are_none(root, frames):
    folder = root / "nyuv2"
    write(folder, frames)
    normal = np.zeros((*SIZE, 3), np.float32)
    normal[0, 0], normal[0, 1] = [0, 3, 4], [0, 0, 1e-5]
    np.save(folder / "train" / "normal" / "0.npy", normal)
    found = FolderFrames(folder).frame(0).normal
    assert found[0, 0] == pytest.approx([0, 0.6, 0.8])
    assert not found[0, 1:].any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_file_is_named(root, frames, kind):
    write(root / "nyuv2", frames)
    path = root / "nyuv2" / "val" / kind / "2.npy"
    path.unlink()
    with pytest.raises(ValueError, match=f"{path} is missing; .* has .*3 of {kind}"):
        nyuv2.load("real")


def test_a_missing_folder_is_named(root, frames):
    write(root / "nyuv2", frames)
    for path in (root / "nyuv2" / "train" / "normal").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r"train/normal/0.npy is missing; .* 0 of normal"):
        nyuv2.load("real")


@pytest.mark.parametrize("left", [0, 5, 100, 200])
def test_a_truncated_file_is_named(root, frames, left):
    write(root / "nyuv2", frames)
    path = root / "nyuv2" / "train" / "depth" / "1.npy"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(ValueError, match=f"{path} is damaged"):
        nyuv2.load("real")


@pytest.mark.parametrize("array", [np.array([{}], dtype=object), np.array(["a"])])
def test_what_holds_no_numbers_is_refused(root, frames, array):
    write(root / "nyuv2", frames)
    path = root / "nyuv2" / "train" / "image" / "1.npy"
    np.save(path, array)
    with pytest.raises(ValueError, match=f"{path} "):
        nyuv2.load("real")


def test_an_archive_is_no_array(root, frames):
    write(root / "nyuv2", frames)
    path = root / "nyuv2" / "train" / "image" / "1.npy"
    with path.open("wb") as file:
        np.savez(file, a=np.ones(3))
    with pytest.raises(ValueError, match=f"{path} is damaged: it is not one array"):
        nyuv2.load("real")


@pytest.mark.parametrize(
    ("kind", "array", "message"),
    [
        ("image", np.ones((3, 12, 16)), r"shape \(12, 16, 3\), not \(3, 12, 16\)"),
        ("label", np.ones((12, 16, 1)), r"shape \(12, 16\), not \(12, 16, 1\)"),
        ("depth", np.ones((12, 16)), r"shape \(12, 16, 1\), not \(12, 16\)"),
        ("normal", np.ones((11, 16, 3)), r"shape \(12, 16, 3\), not \(11, 16, 3\)"),
        ("image", np.ones((12, 16, 3), np.uint8), "hold floats, not uint8"),
        ("label", np.ones((12, 16), bool), "hold integers or floats, not bool"),
    ],
)
def test_a_file_of_another_form_is_refused_when_the_set_is_loaded(
    root, frames, kind, array, message
):
    write(root / "nyuv2", frames)
    path = root / "nyuv2" / "val" / kind / "1.npy"
    np.save(path, array)
    with pytest.raises(ValueError, match=f"{path} must .*{message}"):
        nyuv2.load("real")


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("image", 1.5, r"colours in \[0, 1\]; 1 are not, one is 1.5"),
        ("image", np.nan, r"colours in \[0, 1\]; 1 are not, one is nan"),
        ("label", 13, "integers from -1 to 12; 1 are not, one is 13"),
        ("label", -2, "integers from -1 to 12"),
        ("label", 2.5, "integers from -1 to 12"),
        ("label", np.nan, "integers from -1 to 12"),
        ("depth", np.nan, "finite depths of at least 0 m; 1 are not, one is nan"),
        ("depth", np.inf, "finite depths"),
        ("depth", -0.5, "finite depths"),
        ("normal", np.inf, "finite vectors"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_when_the_frame_is_read(
    root, frames, kind, value, message
):
    write(root / "nyuv2", frames)
    path = root / "nyuv2" / "val" / kind / "1.npy"
    array = np.load(path)
    array.flat[7] = value
    np.save(path, array)
    found = nyuv2.load("real")[0]
    found.frame(3)
    with pytest.raises(ValueError, match=f"{path} must hold {message}"):
        found.frame(4)
    assert message.split(";")[0].replace("\\", "") in audit("nyuv2")[root / "nyuv2"]


def test_an_audit_passes_sound_files(root, frames):
    write(root / "nyuv2", frames)
    assert audit("nyuv2") == {root / "nyuv2": ""}


def test_parquet_files_are_converted_once(root, frames, monkeypatch):
    write_hub(root / "nyuv2", frames)
    found, _, source = nyuv2.load("real")
    assert source.path == root / "nyuv2" / "converted"
    flat = [*frames["train"], *frames["val"]]
    assert all(same(found.frame(i), frame) for i, frame in enumerate(flat))
    monkeypatch.setattr(nyuv2, "convert", None)
    assert nyuv2.load("real")[2] == source
    for path in (root / "nyuv2" / "data").iterdir():  # they are not needed any more
        path.unlink()
    assert nyuv2.load("auto")[2] == source


def test_other_usual_names_of_columns_will_do(root, frames):
    write_hub(root / "nyuv2", frames, ("rgb", "label", "depth", "normals"))
    assert same(nyuv2.load("real")[0].frame(0), frames["train"][0])


def test_a_missing_column_is_named_with_those_that_are_there(root, frames):
    write_hub(root / "nyuv2", frames, ("image", "classes", "depth", "normal"))
    text = r"train-00000.*must have a column segmentation or label or semantic; it has .*'classes'"
    with pytest.raises(ValueError, match=text):
        nyuv2.load("real")
    assert [path.name for path in (root / "nyuv2").iterdir()] == ["data"]


def test_a_conversion_that_breaks_off_leaves_nothing(root, frames, monkeypatch):
    write_hub(root / "nyuv2", frames)
    saved, save = [], np.save

    def failing(path, array):
        saved.append(path)
        if len(saved) == 7:
            raise KeyboardInterrupt
        save(path, array)

    monkeypatch.setattr(np, "save", failing)
    with pytest.raises(KeyboardInterrupt):
        nyuv2.load("real")
    assert [path.name for path in (root / "nyuv2").iterdir()] == ["data"]
    monkeypatch.setattr(np, "save", save)
    assert len(nyuv2.load("real")[1]["train"]) == 3


def test_a_draft_that_a_killed_conversion_left_is_not_taken_for_data(root, frames):
    write_hub(root / "nyuv2", frames)
    (root / "nyuv2" / ".converted.1.part" / "train" / "image").mkdir(parents=True)
    assert len(nyuv2.load("real")[1]["train"]) == 3


def test_another_process_may_convert_first(root, frames, monkeypatch):
    write_hub(root / "nyuv2", frames)
    monkeypatch.setattr(hub.os, "getpid", lambda: 77)
    first = hub.convert(root / "nyuv2")
    assert hub.convert(root / "nyuv2") == first
    assert sorted(p.name for p in (root / "nyuv2").iterdir()) == ["converted", "data"]


def test_a_damaged_parquet_file_is_named(root, frames):
    write_hub(root / "nyuv2", frames)
    path = root / "nyuv2" / "data" / "val-00002-of-00009.parquet"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=f"{path} is damaged"):
        nyuv2.load("real")
    assert "is damaged" in audit("nyuv2")[root / "nyuv2"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[[1, 2], [3]], [[1, 2], [3, 4]]], "differ in length"),
        ([[[1, 2], None], [[1, 2], [3, 4]]], "must hold 2-d arrays, none missing"),
        ([[[1, 2], [None, 4]], [[1, 2], [3, 4]]], "must hold 2-d arrays, none missing"),
        ([[1, 2], [3, 4]], "must hold 2-d arrays"),
    ],
)
def test_columns_that_are_no_arrays_are_refused(tmp_path, values, message):
    with pytest.raises(ValueError, match=f"x.parquet: .*column 'label'.* {message}"):
        hub.array_of(tmp_path / "x.parquet", "label", pyarrow.array(values), 2)


def test_without_pyarrow_the_error_names_the_extra(root, frames, monkeypatch):
    write_hub(root / "nyuv2", frames)
    real_import = builtins.__import__

    def no_pyarrow(name, *args, **kwargs):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_pyarrow)
    with pytest.raises(ImportError, match=r'pip install "mtlgym\[nyuv2\]"'):
        nyuv2.load("real")


def test_the_published_split_is_disjoint_complete_and_drawn_from_its_seed():
    parts = split.split(795, 654)
    assert [len(parts[name]) for name in ("train", "val", "test")] == [795, 197, 457]
    assert np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(1449))
    assert parts["train"].tolist() == list(range(795))
    drawn = np.random.default_rng(0).permutation(654)[:197]
    assert parts["val"].tolist() == sorted(795 + drawn)
    assert np.array_equal(split.split_held_out(654) + 795, parts["val"])
    assert parts["val"][:5].tolist() == [800, 807, 813, 814, 815]


@pytest.mark.parametrize(("held_out", "val"), [(2, 1), (10, 3), (11, 4), (100, 30)])
def test_other_numbers_are_split_by_the_same_rule(held_out, val):
    parts = split.split(5, held_out)
    assert [len(parts[name]) for name in ("train", "val", "test")] == [5, val, held_out - val]
    assert np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(5 + held_out))


@pytest.mark.parametrize("counts", [(0, 5), (3, 1)])
def test_too_few_frames_to_split_are_refused(counts):
    with pytest.raises(ValueError, match="at least 1 frame to train and 2 held out"):
        split.split(*counts)


def test_rooms_stand_in_with_one_warning(root):
    with pytest.warns(UserWarning, match="Using the embedded rooms") as caught:
        found, indices, source = nyuv2.load("auto", 24, 32, (4, 2, 3))
    assert len(caught) == 1
    assert "tanganke/nyuv2" in str(caught[0].message)
    assert [part.tolist() for part in indices.values()] == [[0, 1, 2, 3], [4, 5], [6, 7, 8]]
    assert found is rooms.rooms(24, 32)
    assert source.kind == "embedded"
    assert source.sha256 == found.sha256()
    with pytest.raises(FileNotFoundError, match=r"train/image/0.npy.*MTAN.*tanganke/nyuv2"):
        nyuv2.load("real")


def test_there_are_thirteen_classes_in_the_usual_order():
    assert len(CLASSES) == 13
    assert list(CLASSES) == sorted(CLASSES)
