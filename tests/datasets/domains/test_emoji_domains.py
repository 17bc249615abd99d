"""The features of emoji that stand in for domains, and what picks their classes."""

from pathlib import Path

import numpy as np
import pytest

from mtlgym.datasets import sources
from mtlgym.datasets.domains import emoji as emoji_domains
from mtlgym.datasets.domains import sets
from mtlgym.datasets.domains.split import split
from mtlgym.datasets.images import emoji


def test_the_25_classes_are_the_largest_subgroups():
    glyphs = emoji.glyphs()[0]
    index, labels, classes = emoji_domains.pick(glyphs)
    assert (len(index), len(classes)) == (674, 25)
    assert (np.diff(index) > 0).all()
    assert [glyphs.subgroups[at] for at in index] == [classes[each] for each in labels]
    assert {glyphs.groups[at] for at in index}.isdisjoint(emoji_domains.APART)
    counts = np.bincount(labels).tolist()
    assert counts == sorted(counts, reverse=True)
    assert classes[-4:] == ("food-asian", "light & video", "plant-other", "animal-bug")
    assert classes[0] == "animal-mammal"


def made_up(monkeypatch, **changes):
    """Codes 0 to 31 by feature in place of the embedded file's."""
    glyphs = emoji.glyphs()[0]
    index = emoji_domains.pick(glyphs)[0]
    arrays = {
        "codes": np.tile(np.arange(32, dtype=np.uint8), (4, 674, 1)),
        "tops": np.full(32, 2, np.float32),
        "codepoints": np.array([glyphs.codepoints[at] for at in index]),
    }
    source = sources.Source("imageclef", "embedded", Path("x.npz"), "")
    monkeypatch.setattr(emoji.sources, "embedded", lambda name: (arrays | changes, source))
    return arrays


def test_a_feature_is_the_square_of_its_code_times_its_top(monkeypatch):
    made_up(monkeypatch)
    found, _ = emoji_domains.load("imageclef")
    assert found.tasks == emoji.ARTISTS
    for x in found.features:
        np.testing.assert_allclose(x[5], 2 * (np.arange(32) / 31) ** 2, rtol=1e-6)


def test_features_of_other_glyphs_are_refused(monkeypatch):
    arrays = made_up(monkeypatch)
    made_up(monkeypatch, codepoints=arrays["codepoints"][::-1])
    with pytest.raises(ValueError, match=r"`codepoints` of x.npz must be those of the 674 glyphs"):
        emoji_domains.load()


@pytest.mark.parametrize("name", sets.DOMAIN_SETS)
def test_the_embedded_emoji_stand_in_for_every_set(name):
    found, source = sets.load(name, "embedded")
    assert (source.name, source.kind) == (name, "embedded")
    assert source.path.name == "emoji_features.npz"
    assert [each.shape for each in found.features] == [(674, 1280)] * 4
    assert min(each.min() for each in found.features) == 0
    parts = split(found, 0.1, 0.2, 0)
    for name in ("train", "val", "test"):
        assert all(np.array_equal(parts[name][0], each) for each in parts[name])
