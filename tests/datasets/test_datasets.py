import hashlib
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from mtlgym.datasets import sources
from mtlgym.datasets.audit import audit
from mtlgym.datasets.formats.arrays import read_arrays, sha256, verify, write_arrays

SHIPPED = [name for name, dataset in sources.DATASETS.items() if not dataset.rendered]
RENDERED = [name for name, dataset in sources.DATASETS.items() if dataset.rendered]


@pytest.fixture
def nothing_real(monkeypatch, tmp_path):
    monkeypatch.setenv("MTLGYM_DATA", str(tmp_path))
    monkeypatch.setattr(sources, "find_spec", lambda name: None)
    return tmp_path


@pytest.fixture
def copy_of_embedded(tmp_path):
    folder = tmp_path / "embedded"
    shutil.copytree(sources.EMBEDDED, folder)
    return folder


def flip(path, at=1000):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))


def place(folder, name):
    for file in sources.DATASETS[name].files:
        (folder / name / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / name / file).touch()


def test_root_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("MTLGYM_DATA", str(tmp_path))
    assert sources.root() == tmp_path
    monkeypatch.delenv("MTLGYM_DATA")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert sources.root() == tmp_path / ".cache" / "mtlgym"


def test_sha256_is_that_of_the_standard(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(tmp_path / "abc") == expected
    verify(tmp_path / "abc", expected)


def test_verify_names_file_expected_and_found(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abd")
    found = hashlib.sha256(b"abd").hexdigest()
    with pytest.raises(ValueError, match=f"file is damaged: expected SHA-256 cafe, found {found}"):
        verify(path, "cafe")


@pytest.mark.parametrize("name", SHIPPED)
def test_embedded_file_is_sound_and_silent(name, nothing_real):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sources.choose("embedded", name) is None
        path, digest = sources.embedded_file(name)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert sources.DATASETS[name].name == name


def test_embedded_arrays_say_where_they_come_from(nothing_real):
    arrays, source = sources.embedded("qm9")
    assert arrays
    assert source == sources.Source("qm9", "embedded", *sources.embedded_file("qm9"))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_flipped_byte_is_refused_by_name(name, copy_of_embedded):
    file = copy_of_embedded / sources.DATASETS[name].embedded
    flip(file)
    with pytest.raises(ValueError, match=f"{file.name} is damaged: expected SHA-256"):
        sources.embedded(name, copy_of_embedded)
    assert "is damaged" in sources.status(name, copy_of_embedded).damage


@pytest.mark.parametrize("name", sources.DATASETS)
def test_auto_without_real_files_warns_once_and_says_how_to_get_them(name, nothing_real):
    with pytest.warns(UserWarning) as caught:
        assert sources.choose("auto", name) is None
    assert len(caught) == 1
    text = str(caught[0].message)
    assert "embedded" in text
    assert sources.DATASETS[name].remedy in text


@pytest.mark.parametrize("name", sources.DATASETS)
def test_real_without_the_files_names_folder_files_and_remedy(name, nothing_real):
    with pytest.raises(FileNotFoundError) as caught:
        sources.choose("real", name)
    text = str(caught.value)
    dataset = sources.DATASETS[name]
    assert all(part in text for part in (str(nothing_real / name), *dataset.files, dataset.remedy))


@pytest.mark.parametrize("name", sources.DATASETS)
def test_real_files_are_used_by_auto_and_real_but_not_by_embedded(name, nothing_real):
    place(nothing_real, name)
    assert sources.choose("auto", name) == sources.choose("real", name) == nothing_real / name
    assert sources.choose("embedded", name) is None


def test_one_missing_file_makes_the_set_missing(nothing_real):
    place(nothing_real, "qm9")
    (nothing_real / "qm9" / sources.DATASETS["qm9"].files[-1]).unlink()
    with pytest.raises(FileNotFoundError):
        sources.choose("real", "qm9")


def test_unknown_mode_and_name_get_a_suggestion(nothing_real):
    with pytest.raises(ValueError, match=r"`data` 'embeded'. Did you mean 'embedded'\?"):
        sources.choose("embeded", "qm9")
    with pytest.raises(ValueError, match=r"'qm8'. Did you mean 'qm9'\?"):
        sources.choose("auto", "qm8")


@pytest.mark.parametrize("name", RENDERED)
def test_what_code_renders_is_silent_and_has_a_name_and_no_file(name, nothing_real):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sources.choose("embedded", name) is None
    status = sources.status(name)
    assert status.embedded == sources.DATASETS[name].embedded
    assert status.real is None
    assert status.damage == ""
    assert audit(name) == {}
    place(nothing_real, name)
    assert sources.status(name).real == nothing_real / name


def test_another_layout_of_the_files_will_do(nothing_real):
    for file in ("train-00000-of-00008.parquet", "val-00000-of-00006.parquet"):
        assert sources.find("nyuv2") is None
        (nothing_real / "nyuv2" / "data").mkdir(parents=True, exist_ok=True)
        (nothing_real / "nyuv2" / "data" / file).touch()
    assert sources.choose("real", "nyuv2") == nothing_real / "nyuv2"


@pytest.mark.parametrize("name", SHIPPED)
def test_status_tells_what_is_there(name, nothing_real, copy_of_embedded):
    before = sources.status(name)
    assert before.real is None
    assert before.damage == ""
    assert isinstance(before.embedded, Path)
    assert before.embedded.exists()
    place(nothing_real, name)
    assert sources.status(name).real == nothing_real / name
    (copy_of_embedded / sources.DATASETS[name].embedded).unlink()
    assert "No such file" in sources.status(name, copy_of_embedded).damage


def test_arrays_are_written_whole_and_alike_and_read_back(tmp_path):
    arrays: dict[str, np.ndarray] = {"a": np.arange(5), "b": np.ones((2, 3), np.float32)}
    path = tmp_path / "new" / "x.npz"
    digest = write_arrays(path, arrays)
    assert write_arrays(path, arrays) == digest
    assert [each.name for each in path.parent.iterdir()] == ["x.npz"]
    back = read_arrays(path, digest)
    assert back.keys() == arrays.keys()
    assert all(np.array_equal(back[key], arrays[key]) for key in arrays)


def test_a_pickle_is_never_read(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_arrays(path, sha256(path))


def test_an_audit_names_the_damaged_and_the_missing_and_passes_the_sound(tmp_path, monkeypatch):
    monkeypatch.setenv("MTLGYM_DATA", str(tmp_path))
    folder = tmp_path / "qm9"
    folder.mkdir()
    (folder / "sound").write_bytes(b"abc")
    (folder / "sound.sha256").write_text(sha256(folder / "sound") + "\n")
    (folder / "damaged").write_bytes(b"abd")
    (folder / "damaged.sha256").write_text(sha256(folder / "sound"))
    (folder / "missing.sha256").write_text("0" * 64)
    found = audit("qm9")
    assert found[folder / "sound"] == ""
    assert "expected SHA-256" in found[folder / "damaged"]
    assert "missing" in found[folder / "missing"]
    assert len(found) == 4  # the embedded file too
