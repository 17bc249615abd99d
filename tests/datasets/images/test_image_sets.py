"""The image sets that ship with mtlgym, and their loaders."""

from collections import Counter

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from mtlgym.datasets import sources
from mtlgym.datasets.images import emoji, fashion
from mtlgym.datasets.images.image_tasks import SPLITS

LOADERS = {"emoji.npz": emoji.load_groups, "fashion.npz": fashion.load}
HEARTS = {"2764": "red", "1f49a": "green", "1f499": "blue"}


@pytest.fixture(scope="module")
def glyphs():
    return emoji.glyphs()[0]


@pytest.fixture(scope="module")
def groups():
    return emoji.load_groups()[0]


@pytest.fixture(scope="module")
def clothes():
    return fashion.load()[0]


def drawn(split, glyphs):
    """Artist and glyph of each sample."""
    return np.divmod(split.index, len(glyphs.codepoints))


def score_of_nearest(data, task):
    """Accuracy on a task's test samples of the label of the nearest training image."""
    train, test = data.splits["train"], data.splits["test"]
    own, other = train.task == task, test.task == task
    flat, seen = (each.images.reshape(len(each.images), -1) / 255 for each in (train, test))
    model = KNeighborsClassifier(1).fit(flat[train.index[own]], train.label[own])
    return model.score(seen[test.index[other]], test.label[other])


def test_all_embedded_files_together_are_small():
    assert sum(each.stat().st_size for each in sources.EMBEDDED.iterdir()) < 8e6


@pytest.mark.parametrize("file", LOADERS)
def test_a_loader_says_which_file_it_read(file):
    data, source = LOADERS[file]()
    assert (source.path.name, source.kind) == (file, "embedded")
    assert source.sha256 == sources.embedded_file(source.name)[1]
    assert file in (sources.EMBEDDED / "DATA_LICENSES.md").read_text()
    assert tuple(data.splits) == SPLITS


@pytest.mark.parametrize("file", LOADERS)
def test_samples_are_the_same_every_time_and_their_images_cannot_be_changed(file):
    first = LOADERS[file]()[0]
    emoji.glyphs.cache_clear()
    fashion._arrays.cache_clear()
    second = LOADERS[file]()[0]
    for split in SPLITS:
        one, other = first.splits[split], second.splits[split]
        for field in ("images", "index", "task", "label"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
        with pytest.raises(ValueError, match="read-only"):
            one.images[0] = 0


def test_glyphs_are_pictures_of_all_artists_on_white(glyphs):
    assert glyphs.images.shape == (4, 954, 32, 32, 3)
    assert glyphs.images.dtype == np.uint8
    assert len({*glyphs.codepoints}) == len(glyphs.groups) == len(glyphs.subgroups) == 954
    assert tuple(sources.embedded("cifar100")[0]["artists"]) == emoji.ARTISTS
    white = (glyphs.images == 255).all(axis=-1).mean(axis=(1, 2, 3))
    assert (white > 0.3).all()
    assert (glyphs.images[3] == glyphs.images[3, ..., :1]).all()  # high contrast has no colours


def test_the_two_sets_that_are_needed_are_in_the_file(glyphs):
    counts = Counter(zip(glyphs.groups, glyphs.subgroups, strict=True))
    for group, subgroups in emoji.GROUPS.values():
        sizes = [counts[group, each] for each in subgroups]
        assert sizes == sorted(sizes, reverse=True)
        assert min(sizes) >= 12
    shared = Counter({place: n for place, n in counts.items() if place[0] != "People & Body"})
    assert sum(n for _, n in shared.most_common(25)) == 674


@pytest.mark.parametrize("codepoints", HEARTS)
def test_an_artist_that_uses_colours_draws_a_heart_in_its_own(glyphs, codepoints):
    at = glyphs.codepoints.index(codepoints)
    channel = ["red", "green", "blue"].index(HEARTS[codepoints])
    assert (glyphs.images[:3, at, 16, 16].argmax(axis=-1) == channel).all()


def test_drawings_of_one_glyph_are_more_alike_than_those_of_two(glyphs):
    ink = 255 - glyphs.images.astype(np.float64).mean(axis=-1).reshape(4, 954, -1)
    ink -= ink.mean(axis=1, keepdims=True)
    ink /= np.linalg.norm(ink, axis=-1, keepdims=True)
    for one in range(4):
        for other in range(one):
            alike = ink[one] @ ink[other].T
            rank = (alike > np.diag(alike)[:, None]).mean(axis=1)  # 1/2 by chance
            assert np.median(rank) < 0.15, (one, other)


def test_the_drawings_of_a_glyph_are_in_one_split_in_one_class(groups, glyphs):
    seen: Counter = Counter()
    for split in groups.splits.values():
        artist, glyph = drawn(split, glyphs)
        for each in np.unique(glyph):
            own = glyph == each
            assert sorted(artist[own]) == [0, 1, 2, 3]
            assert len({*zip(split.task[own], split.label[own], strict=True)}) == 1
        seen.update(np.unique(glyph).tolist())
    assert set(seen.values()) == {1}
    wanted = {(group, each) for group, subgroups in emoji.GROUPS.values() for each in subgroups}
    places = zip(glyphs.groups, glyphs.subgroups, strict=True)
    assert sorted(seen) == [at for at, place in enumerate(places) if place in wanted]


def test_a_label_is_the_subgroup_of_the_task_of_the_group(groups, glyphs):
    for split in groups.splits.values():
        _, glyph = drawn(split, glyphs)
        for task, label, at in zip(split.task, split.label, glyph, strict=True):
            assert emoji.GROUPS[groups.tasks[task]][0] == glyphs.groups[at]
            assert groups.classes[task][label] == glyphs.subgroups[at]


@pytest.mark.parametrize(
    "family",
    [
        ("1f9d1-200d-1f33e", "1f468-200d-1f33e", "1f469-200d-1f33e"),  # farmers
        ("1f3c3", "1f3c3-200d-2640", "1f3c3-200d-2642"),  # runners
        ("1f9d9", "1f9d9-200d-2640", "1f9d9-200d-2642"),  # mages
    ],
)
def test_a_man_a_woman_and_a_person_who_do_the_same_are_in_one_split(groups, glyphs, family):
    splits = {
        split
        for split, part in groups.splits.items()
        for glyph in drawn(part, glyphs)[1]
        if glyphs.codepoints[glyph] in family
    }
    assert set(family) <= {*glyphs.codepoints}
    assert len(splits) == 1


def test_about_a_tenth_of_each_class_is_for_validation_and_a_fifth_for_the_test(groups):
    shares = np.zeros((3, 6, 5))
    for number, split in enumerate(SPLITS):
        part = groups.splits[split]
        np.add.at(shares[number], (part.task, part.label), 1)
    there = shares.sum(axis=0) > 0
    assert there.sum() == 28
    shares = (shares / shares.sum(axis=0).clip(1))[:, there]
    np.testing.assert_allclose(shares.mean(axis=1), [0.7, 0.1, 0.2], atol=0.02)
    np.testing.assert_allclose(shares.T, np.tile([0.7, 0.1, 0.2], (28, 1)), atol=0.1)


def test_clothes_are_of_the_published_form_and_no_image_is_there_twice(clothes):
    seen = set()
    for split, count in zip(SPLITS, (350, 50, 100), strict=True):
        images = clothes.splits[split].images
        assert images.shape == (10 * count, 28, 28, 1)
        assert images.dtype == np.uint8
        seen |= {image.tobytes() for image in images}
    assert len(seen) == 5000


def test_half_of_a_tasks_samples_are_of_its_kind_and_the_rest_of_all_others(clothes):
    for split, count in zip(SPLITS, (350, 50, 100), strict=True):
        part = clothes.splits[split]
        kind = part.index // count
        np.testing.assert_array_equal(part.label, kind == part.task)
        for task in range(10):
            counts = np.bincount(kind[part.task == task], minlength=10)
            assert counts[task] == count
            assert {*np.delete(counts, task).tolist()} == {round(count / 9)}
            own = part.index[part.task == task]
            assert len(np.unique(own)) == len(own)
        assert abs(part.label.mean() - 0.5) < 0.02


def test_the_nearest_image_tells_a_kind_of_clothes_from_the_others(clothes):
    scores = [score_of_nearest(clothes, task) for task in range(10)]
    assert min(scores) > 0.6
    assert np.mean(scores) > 0.8


def test_the_nearest_image_tells_an_emojis_subgroup_better_than_the_most_frequent_one(groups):
    gains = []
    for task, classes in enumerate(groups.classes):
        labels = groups.splits["test"].label[groups.splits["test"].task == task]
        chance = np.bincount(labels, minlength=len(classes)).max() / len(labels)
        gains.append(score_of_nearest(groups, task) - chance)
    assert np.mean(gains) > 0.1
