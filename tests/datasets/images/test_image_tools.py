"""The scripts that build the embedded images, on small inputs."""

import gzip
import io
import json
import tarfile
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

from mtlgym.datasets import sources
from mtlgym.datasets.images import emoji
from tests import ROOT

TOOLS = ROOT / "tools"
LIST = """# a comment
# group: Smileys & Emotion

# subgroup: face
1F600                ; fully-qualified     # x E1.0 grinning face
263A FE0F            ; fully-qualified     # x E0.6 smiling face
263A                 ; unqualified         # x E0.6 smiling face
# group: People & Body
# subgroup: person-role
1F9D1 200D 2695 FE0F ; fully-qualified     # x E12.1 health worker
1F9D1 200D 2695      ; minimally-qualified # x E12.1 health worker
1F9D1 1F3FB 200D 2695 FE0F ; fully-qualified # x E12.1 health worker: light skin tone
# group: Component
# subgroup: skin-tone
1F3FB                ; component           # x E1.0 light skin tone
#EOF
"""
ICONS = {
    "icons": {
        "high": {"body": "<path d='a'/>", "height": 30},
        "wide": {"body": "<path d='b'/>", "width": 40, "left": 1, "top": 2},
    },
    "aliases": {"other": {"parent": "wide"}},
    "width": 20,
    "height": 20,
}
NAMES = {"1f600": "high", "263a": "wide", "1f601": "other"}


@pytest.fixture(scope="module")
def tools():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        yield SimpleNamespace(
            glyphs=import_module("emoji_art.glyphs"),
            pictures=import_module("emoji_art.pictures"),
            fashion=import_module("fashion"),
        )


def archive(files, mode):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as file:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def debian(files):
    content = archive(files, "w:xz")
    header = f"{'data.tar.xz':<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
    return b"!<arch>\n" + header.encode() + content


def test_only_full_code_points_without_a_tone_of_skin_are_listed(tools):
    found = [(glyph.codepoints, *glyph.place) for glyph in tools.glyphs.listed(LIST)]
    assert found == [
        ("1f600", "Smileys & Emotion", "face"),
        ("263a", "Smileys & Emotion", "face"),
        ("1f9d1-200d-2695", "People & Body", "person-role"),
    ]


def glyphs_of(tools, sizes):
    return [
        tools.glyphs.Glyph(f"{group}|{subgroup}|{i}", group, subgroup)
        for (group, subgroup), size in sizes.items()
        for i in range(size)
    ]


def test_the_largest_subgroups_of_a_group_are_chosen_and_small_ones_are_not(tools):
    sizes = {
        ("People & Body", f"p{i}"): size for i, size in enumerate([12, 11, 15, 13, 14, 13, 20])
    }
    sizes |= {("Symbols", "arrow"): 90, ("Flags", "flag"): 80}
    found = tools.glyphs.chosen(glyphs_of(tools, sizes))
    assert {glyph.subgroup for glyph in found} == {"p2", "p3", "p4", "p5", "p6"}
    assert len(found) == 15 + 13 + 14 + 13 + 20


def test_the_largest_subgroups_of_all_domains_are_chosen_too_however_small(tools):
    sizes = {("Food & Drink", f"f{i:02d}"): i + 1 for i in range(30)}
    found = tools.glyphs.chosen(glyphs_of(tools, sizes))
    assert {glyph.subgroup for glyph in found} == {f"f{i:02d}" for i in range(5, 30)}


def test_the_shipped_glyphs_are_the_ones_that_would_be_chosen_of_them(tools):
    shipped = emoji.glyphs()[0]
    parts = zip(shipped.codepoints, shipped.groups, shipped.subgroups, strict=True)
    own = [tools.glyphs.Glyph(*each) for each in parts]
    assert tools.glyphs.chosen(own) == own


def test_an_icon_is_put_in_the_middle_of_a_square(tools, tmp_path):
    files = {"package/icons.json": ICONS, "package/chars.json": NAMES}
    content = {name: json.dumps(each).encode() for name, each in files.items()}
    (tmp_path / "x.tgz").write_bytes(archive(content, "w:gz"))
    icons = tools.pictures.Icons(tmp_path / "x.tgz")
    assert "1f600" in icons
    assert "1f602" not in icons
    assert "viewBox=\"-5.0 0.0 30 30\"><path d='a'/></svg>" in icons.svg("1f600")
    assert "viewBox=\"1.0 -8.0 40 40\"><path d='b'/></svg>" in icons.svg("263a")
    assert icons.svg("1f601") == icons.svg("263a")


def test_a_pixel_is_the_mean_of_its_square_rounded(tools):
    fine = np.random.default_rng(0).integers(0, 256, (6, 4, 3))
    found = tools.pictures.averaged(fine, 2)
    for row in range(3):
        for column in range(2):
            for channel in range(3):
                square = fine[2 * row : 2 * row + 2, 2 * column : 2 * column + 2, channel]
                assert found[row, column, channel] == int(square.sum() / 4 + 0.5)


def test_an_svg_is_drawn_on_white_with_antialiasing(tools):
    pytest.importorskip("resvg_py")  # not among mtlgym's own dependencies
    space = 'xmlns="http://www.w3.org/2000/svg"'
    half = '<path d="M0 0h33v64H0z"/>'  # and a half of a pixel
    picture = tools.pictures.drawn(f'<svg {space} viewBox="0 0 64 64">{half}</svg>')
    assert picture.shape == (32, 32, 3)
    assert (picture[:, :16] == 0).all()
    assert (picture[:, 16] == 128).all()
    assert (picture[:, 17:] == 255).all()


def idx(array):
    head = bytes([0, 0, 8, array.ndim])
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(head + sizes + array.astype(np.uint8).tobytes())


def test_clothes_are_drawn_of_each_class_without_one_in_two_splits(tools, tmp_path, monkeypatch):
    sizes = {"train": ("train", 3), "val": ("train", 2), "test": ("t10k", 1)}
    monkeypatch.setattr(tools.fashion, "SIZES", sizes)
    files, images, labels = {}, {}, {}
    for number, part in enumerate(("train", "t10k")):
        labels[part] = np.random.default_rng(number).permutation(np.repeat(np.arange(10), 6))
        images[part] = np.arange(60)[:, None, None] + 60 * number + np.zeros((1, 28, 28), int)
        folder = "./usr/share/datasets/fashion-mnist"
        files[f"{folder}/{part}-images-idx3-ubyte.gz"] = idx(images[part])
        files[f"{folder}/{part}-labels-idx1-ubyte.gz"] = idx(labels[part])
    (tmp_path / "x.deb").write_bytes(debian(files))
    found = tools.fashion.arrays(tmp_path / "x.deb", 0)
    again = tools.fashion.arrays(tmp_path / "x.deb", 0)
    every = np.concatenate([labels["train"], labels["t10k"]])
    seen = []
    for split, (part, count) in sizes.items():
        assert found[split].shape == (10, count, 28, 28)
        numbers = found[split][:, :, 0, 0].astype(int)
        assert ((numbers >= 60) == (part == "t10k")).all()
        assert (every[numbers] == np.arange(10)[:, None]).all()
        np.testing.assert_array_equal(found[split], again[split])
        seen.append(numbers.ravel())
    assert len(np.unique(np.concatenate(seen))) == 60


def test_every_embedded_file_has_a_recipe_that_names_its_packages():
    table = json.loads((sources.EMBEDDED / "checksums.json").read_text())
    text = (sources.EMBEDDED / "DATA_LICENSES.md").read_text()
    script = (TOOLS / "build_embedded_data.py").read_text()
    for file, entry in table.items():
        assert f'"{file}"' in script
        for package in entry["source"].split("; "):
            name, version = package.rsplit(" ", 1)
            assert name in text
            assert version in text
            assert f'"{package}"' in script
