"""Features that are kept: what is run again, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from mtlgym.datasets.domains.features import extract, safe
from tests.datasets.domains import painted as pictures
from tests.models.tiny_backbones import means


@pytest.fixture
def painted(tmp_path):
    return pictures.painted(tmp_path)


def seen_again(folder, network=None):
    """How many images are run when features are computed again."""
    network = network or means()
    extract(folder, pictures.domains_of(folder), network)
    return network.module.seen


def test_what_is_there_and_whole_is_not_run_again(painted):
    assert seen_again(painted) == 6
    assert seen_again(painted) == 0


def test_a_domain_whose_images_labels_or_files_are_others_is_run_again(painted):
    place = extract(painted, pictures.domains_of(painted), means())
    pictures.paint(painted / "art/a/1.png", (9, 9, 9), size=(70, 90))
    assert seen_again(painted) == 3
    np.testing.assert_allclose(pictures.kept(place, "art")["features"][0], 9 / 255, rtol=1e-6)
    (painted / "art/b/1.png").rename(painted / "art/a/3.png")
    pictures.paint(painted / "art/b/1.png", (5, 5, 5))
    assert seen_again(painted) == 4
    lines = ["art/a/1.png 1", "art/a/2.png 0", "art/a/3.png 1", "art/b/1.png 0"]
    (painted / "art.txt").write_text("\n".join(lines))
    assert seen_again(painted) == 4  # the same images
    assert seen_again(painted) == 0
    assert pictures.kept(place, "art")["labels"].tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("end", ["npz", "npz.sha256"])
def test_a_domain_whose_features_are_damaged_or_not_finished_is_run_again(painted, end):
    path = extract(painted, pictures.domains_of(painted), means()) / f"product.{end}"
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
        extract(painted, pictures.domains_of(painted), means(), progress=stop)
    assert seen_again(painted) == 3


def test_progress_begins_before_the_first_image_is_run(painted):
    network, seen = means(), []
    extract(
        painted,
        pictures.domains_of(painted),
        network,
        2,
        lambda *_: seen.append(network.module.seen),
    )
    assert seen == [0, 2, 3, 3, 5, 6]


@pytest.mark.parametrize("other", [{"digest": "1" * 64}, {"side": 5}, {"std": (2.0, 2.0, 2.0)}])
def test_another_network_of_the_same_name_is_refused_and_nothing_changes(painted, other):
    place = extract(painted, pictures.domains_of(painted), means())
    before = {path: path.read_bytes() for path in place.iterdir()}
    with pytest.raises(ValueError, match=f"another backbone 'means', whose {next(iter(other))}"):
        extract(painted, pictures.domains_of(painted), replace(means(), **other))
    assert {path: path.read_bytes() for path in place.iterdir()} == before


@pytest.mark.parametrize("other", [{"digest": "1" * 64}, {"side": 5}, {"std": (2.0, 2.0, 2.0)}])
def test_features_of_another_network_are_run_again_where_its_note_is_gone(painted, other):
    place = extract(painted, pictures.domains_of(painted), means())
    (place / "backbone.json").unlink()
    assert seen_again(painted) == 0
    (place / "backbone.json").unlink()
    assert seen_again(painted, replace(means(), **other)) == 6
    assert seen_again(painted, replace(means(), **other)) == 0


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_a_damaged_note_of_the_network_is_named(painted, content):
    place = extract(painted, pictures.domains_of(painted), means())
    (place / "backbone.json").write_text(content)
    with pytest.raises(ValueError, match=r"backbone\.json is damaged"):
        extract(painted, pictures.domains_of(painted), means())


def test_an_image_that_cannot_be_decoded_is_named(painted):
    (painted / "art/a/2.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"art.a.2\.png cannot be decoded"):
        extract(painted, pictures.domains_of(painted), means())


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
