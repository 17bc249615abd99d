import re
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mtlgym.datasets.domains.domains import Domains, align, take
from tests.datasets.domains.domain_data import features

LABELS = {"amazon": [0, 1, 1, 2], "webcam": [2, 1, 0], "dslr": [0, 1, 2, 2, 2]}
CLASSES = ("cup", "bike", "mouse")


def parts(**changes) -> dict[str, Any]:
    """Arguments of three sound domains, some of them changed."""
    sound = {
        "tasks": tuple(LABELS),
        "classes": CLASSES,
        "features": tuple(features(len(each)) for each in LABELS.values()),
        "labels": tuple(np.array(each) for each in LABELS.values()),
        "groups": tuple(10 * at + np.arange(len(each)) for at, each in enumerate(LABELS.values())),
    }
    return sound | changes


def with_value(what, at, value):
    """The arrays, with another one or another value in the domain dslr."""
    arrays = list(parts()[what])
    if at is None:
        arrays[2] = value
    else:
        arrays[2] = arrays[2].copy()
        arrays[2][at] = value
    return {what: tuple(arrays)}


def test_domains_have_a_width_and_keep_their_arrays():
    sound = parts()
    found = Domains(**sound)
    assert found.width == 3
    assert all(own is given for own, given in zip(found.labels, sound["labels"], strict=True))
    assert Domains(**parts(groups=None)).groups is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": ()}, "`tasks` must have at least one name, each once, not ()"),
        ({"tasks": ("amazon", "dslr", "dslr")}, "`tasks` must have .* not ('amazon', 'dslr', 'ds"),
        ({"classes": ("cup", "cup", "bike")}, "`classes` must have at least one name, each once"),
        ({"classes": ()}, "`classes` must have at least one name"),
        ({"features": parts()["features"][:2]}, "`features` must be of each of the 3 domains, not"),
        ({"labels": parts()["labels"][:2]}, "`labels` must be of each of the 3 domains, not 2"),
        ({"groups": parts()["groups"][:1]}, "`groups` must be of each of the 3 domains, not 1"),
        (
            with_value("features", None, np.zeros(5, np.float32)),
            "features of domain 'dslr' must be float32 (samples, width), not float32 (5,)",
        ),
        (
            with_value("features", None, np.zeros((5, 0), np.float32)),
            "features of domain 'dslr' must be float32 (samples, width), not float32 (5, 0)",
        ),
        (
            with_value("features", None, np.zeros((5, 8), np.float32)),
            "features of domain 'dslr' are 8 wide, those of 'amazon' 3",
        ),
        (
            with_value("labels", None, np.zeros(4, np.int64)),
            "labels of domain 'dslr' must be int64 (5,), one for each of its samples, not int64 (4",
        ),
        (
            with_value("groups", None, np.zeros((5, 1), np.int64)),
            "groups of domain 'dslr' must be int64 (5,), one for each of its samples",
        ),
        (
            with_value("labels", 1, 3),
            "labels of domain 'dslr' must lie in [0, 3); that of sample 1 is 3",
        ),
        (with_value("labels", 4, -1), "that of sample 4 is -1"),
        (with_value("labels", 1, 2), "domain 'dslr' has no sample of class 'bike'"),
        (with_value("labels", slice(3), 2), "domain 'dslr' has no sample of class 'cup', 'bike'"),
        (
            with_value("features", (3, 1), np.nan),
            "feature 1 of sample 3 of domain 'dslr', of class 'mouse', must be finite, not nan",
        ),
        (with_value("features", (0, 2), -np.inf), "feature 2 of sample 0 .* 'cup'.* not -inf"),
    ],
)
def test_what_does_not_fit_is_refused_by_domain_and_class(changes, message):
    pattern = ".*".join(re.escape(part) for part in message.split(".*"))
    with pytest.raises(ValueError, match=pattern):
        Domains(**parts(**changes))


@pytest.mark.parametrize(
    ("tasks", "chosen"),
    [(None, [0, 1, 2]), (2, [0, 1]), (["dslr", "amazon"], [2, 0])],
)
def test_some_domains_keep_their_samples(tasks, chosen):
    whole = Domains(**parts())
    some = take(whole, tasks)
    assert some.tasks == tuple(whole.tasks[each] for each in chosen)
    assert some.classes == whole.classes
    assert some.groups is not None
    for at, each in enumerate(chosen):
        for what in ("features", "labels", "groups"):
            assert_array_equal(getattr(some, what)[at], getattr(whole, what)[each])
    assert take(Domains(**parts(groups=None)), tasks).groups is None


def test_an_unknown_domain_gets_a_suggestion():
    with pytest.raises(ValueError, match=r"'dsrl'\. Did you mean 'dslr'"):
        take(Domains(**parts()), ["dsrl"])
    with pytest.raises(ValueError, match="`tasks` must be from 1 to 3"):
        take(Domains(**parts()), 4)


def lists(**classes):
    """Features and labels of domains that have one sample of each class that they list."""
    labels = {name: np.arange(len(each)) for name, each in classes.items()}
    return {name: features(len(each)) for name, each in classes.items()}, labels, classes


def test_labels_come_to_mean_the_first_domains_classes():
    found = align(*lists(art=CLASSES, clipart=("mouse", "cup", "bike")))
    assert (found.tasks, found.classes) == (("art", "clipart"), CLASSES)
    assert_array_equal(found.labels[0], [0, 1, 2])
    assert_array_equal(found.labels[1], [2, 0, 1])


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("cup", "bike"), r"of domain 'clipart' must be those of 'art': it lacks \['mouse'\]$"),
        ((*CLASSES, "pen"), r"'clipart' must be those of 'art': it has besides \['pen'\]$"),
        (("cup", "pen", "fan"), r"lacks \['bike', 'mouse'\] and has besides \['pen', 'fan'\]$"),
        (("cup", "cup", "bike"), "of domain 'clipart' must have each name once"),
    ],
)
def test_domains_with_other_classes_are_refused_by_what_differs(classes, message):
    with pytest.raises(ValueError, match=message):
        align(*lists(art=CLASSES, clipart=classes))


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_past_the_domains_own_list_is_refused(label):
    x, labels, classes = lists(art=CLASSES, clipart=CLASSES)
    labels["clipart"][1] = label
    with pytest.raises(ValueError, match=f"'clipart' must lie in .* that of sample 1 is {label}"):
        align(x, labels, classes)


def test_no_domains_at_all_are_refused():
    with pytest.raises(ValueError, match="`tasks` must have at least one name"):
        align({}, {}, {})
