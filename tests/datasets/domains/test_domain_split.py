import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mtlgym.datasets.domains.domains import take
from mtlgym.datasets.domains.split import split
from tests.datasets.domains.domain_data import domains

COUNTS = {"art": (40, 7, 100), "clipart": (20, 20, 20), "sketch": (2, 60, 33)}
SPLITS = ("train", "val", "test")


def per_class(whole, part):
    """Samples of each class in each domain's part."""
    width = len(whole.classes)
    pairs = zip(whole.labels, part, strict=True)
    return [np.bincount(labels[own], minlength=width).tolist() for labels, own in pairs]


def same(one, other):
    return all(
        np.array_equal(a, b) for name in SPLITS for a, b in zip(one[name], other[name], strict=True)
    )


def drawn(count=3, per=(30, 12, 50)):
    """Domains that show the same objects, each in an order of its own."""
    whole = domains({f"artist_{each}": per for each in range(count)})
    labels, groups = [], []
    for at in range(count):
        order = np.random.default_rng(at).permutation(sum(per))
        labels.append(whole.labels[at][order])
        groups.append(7 * order + 3)
    parts = whole.tasks, whole.classes, whole.features, tuple(labels), tuple(groups)
    return type(whole)(*parts)


@pytest.mark.parametrize("validation", [0.0, 0.2, 0.9])
@pytest.mark.parametrize("fraction", [0.01, 0.05, 0.1, 0.2, 0.5])
def test_each_sample_is_in_one_split_and_each_class_in_training_and_test(fraction, validation):
    whole = domains(COUNTS)
    parts = split(whole, fraction, validation, 0)
    assert tuple(parts) == SPLITS
    for at, labels in enumerate(whole.labels):
        own = [parts[name][at] for name in SPLITS]
        assert_array_equal(np.sort(np.concatenate(own)), np.arange(len(labels)))
        assert all(each.dtype == np.int64 and (np.diff(each) > 0).all() for each in own)
    for name in ("train", "test"):
        assert min(min(each) for each in per_class(whole, parts[name])) >= 1


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [
        (0.05, [[2, 1, 5], [1, 1, 1], [1, 3, 2]]),
        (0.1, [[4, 1, 10], [2, 2, 2], [1, 6, 3]]),
        (0.2, [[8, 1, 20], [4, 4, 4], [1, 12, 7]]),
    ],
)
def test_a_classs_share_is_rounded_but_at_least_one(fraction, expected):
    whole = domains(COUNTS)
    assert per_class(whole, split(whole, fraction, 0.0, 0)["train"]) == expected


@pytest.mark.parametrize("whole", [domains(COUNTS), drawn()])
def test_what_is_labelled_at_a_smaller_fraction_is_so_at_a_larger_one(whole):
    before = [set[int]() for _ in whole.tasks]
    for fraction in (0.05, 0.1, 0.2):
        parts = split(whole, fraction, 0.3, 5)
        now = [
            {*a.tolist(), *b.tolist()} for a, b in zip(parts["train"], parts["val"], strict=True)
        ]
        assert all(a < b for a, b in zip(before, now, strict=True))
        before = now


@pytest.mark.parametrize(
    ("counts", "validation", "held"),
    [
        ((10, 10, 10), 0.1, 1),  # 3 for training; none can be spared
        ((40, 20, 10), 0.3, 2),
        ((40, 20, 10), 0.01, 1),  # at least one
        ((40, 20, 10), 0.99, 4),  # every class keeps one
        ((40, 20, 10), 0.0, 0),
    ],
)
def test_validation_takes_from_the_largest_class_and_never_a_last_sample(counts, validation, held):
    whole = domains({"art": counts})
    parts = split(whole, 0.1, validation, 0)
    train = per_class(whole, parts["train"])[0]
    labelled = [count // 10 for count in counts]
    spare = sum(labelled) - len(labelled)
    assert len(parts["val"][0]) == min(held, spare)
    assert sum(train) + len(parts["val"][0]) == sum(labelled)
    assert max(train) - min(train) <= max(labelled) - min(labelled)
    assert min(train) >= 1


def test_validation_evens_out_the_classes():
    whole = domains({"art": (80, 40, 20)})
    parts = split(whole, 0.1, 0.5, 0)  # 8, 4 and 2 samples, of which 7 are held out
    assert sorted(per_class(whole, parts["train"])[0]) == [2, 2, 3]
    assert per_class(whole, parts["train"])[0][2] == 2


def test_which_of_equal_classes_gives_first_depends_on_the_seed():
    whole = domains({"art": (20, 20, 20, 20)})
    chosen = [
        np.argmax(per_class(whole, split(whole, 0.1, 0.1, seed)["val"])[0]) for seed in range(30)
    ]
    assert {int(each) for each in chosen} == {0, 1, 2, 3}


@pytest.mark.parametrize("whole", [domains(COUNTS), drawn()])
def test_the_seed_decides(whole):
    first = split(whole, 0.2, 0.2, 3)
    assert same(first, split(whole, 0.2, 0.2, 3))
    assert not same(first, split(whole, 0.2, 0.2, 4))


def test_domains_with_equal_samples_are_drawn_apart():
    one, other = split(domains({"art": (50, 50), "clipart": (50, 50)}), 0.2, 0.0, 0)["train"]
    assert not np.array_equal(one, other)


def test_every_sample_is_as_likely_for_training():
    whole = domains({"art": (5, 20)})
    counts = np.zeros(25)
    for seed in range(400):
        counts[split(whole, 0.2, 0.0, seed)["train"][0]] += 1
    assert np.abs(counts / 400 - 0.2).max() < 0.08  # 4 standard errors


@pytest.mark.parametrize("whole", [domains(COUNTS), drawn()])
def test_some_of_the_domains_are_split_as_they_are_among_all(whole):
    all_ = split(whole, 0.1, 0.2, 1)
    names = [whole.tasks[2], whole.tasks[0]]
    some = split(take(whole, names), 0.1, 0.2, 1)
    for name in SPLITS:
        assert_array_equal(some[name][0], all_[name][2])
        assert_array_equal(some[name][1], all_[name][0])


def test_an_object_is_in_one_split_in_all_domains():
    whole = drawn()
    parts = split(whole, 0.1, 0.25, 0)
    assert whole.groups is not None
    for name in SPLITS:
        objects = [own[part] for own, part in zip(whole.groups, parts[name], strict=True)]
        for each in objects[1:]:
            assert_array_equal(np.sort(each), np.sort(objects[0]))
    assert per_class(whole, parts["test"]) == [[27, 11, 45]] * 3
    assert [len(each) for each in parts["val"]] == [2, 2, 2]  # of 3 + 1 + 5


def test_counts_are_of_groups_where_several_samples_show_an_object():
    whole = domains({"art": (30, 30)})
    twice = type(whole)(
        whole.tasks, whole.classes, whole.features, whole.labels, (np.arange(60) // 3,)
    )
    parts = split(twice, 0.2, 0.0, 0)
    assert per_class(twice, parts["train"]) == [[6, 6]]  # 2 of 10 groups, of 3 samples each
    assert len(np.unique(parts["train"][0] // 3)) == 4


@pytest.mark.parametrize(
    ("counts", "fraction", "message"),
    [
        ((5, 1), 0.1, "class 'class_1' of domain 'art' has 1; at a `fraction` of 0.1, 1 would be"),
        ((5, 2), 0.9, "class 'class_1' of domain 'art' has 2; at a `fraction` of 0.9, 2 would be"),
    ],
)
def test_a_class_without_test_samples_is_refused(counts, fraction, message):
    with pytest.raises(ValueError, match=message):
        split(domains({"art": counts}), fraction, 0.0, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 0.0, 0), "`fraction` must be a number above 0 and below 1, not 0.0"),
        ((1.0, 0.0, 0), "`fraction`"),
        ((0.1, 1.0, 0), "`validation` must be a number of at least 0 and below 1, not 1.0"),
        ((0.1, 0.0, -1), "`seed` must be an integer of at least 0, not -1"),
    ],
)
def test_other_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        split(domains(COUNTS), *arguments)


def test_a_group_of_two_classes_is_refused():
    groups = (np.arange(8), np.array([0, 1, 2, 7, 4, 5, 6, 3]))
    whole = domains({"art": (4, 4), "clipart": (4, 4)}, groups)
    message = "group 7 must be of one class: it is of 'class_1', and of 'class_0' in .*'clipart'"
    with pytest.raises(ValueError, match=message):
        split(whole, 0.5, 0.0, 0)


def test_groups_that_leave_a_domain_without_a_class_for_test_are_refused():
    groups = (np.arange(20), np.array([0, 10]))
    whole = domains({"art": (10, 10), "clipart": (1, 1)}, groups)
    with pytest.raises(ValueError, match=r"no sample of class 'class_[01]' of domain 'clipart' is"):
        split(whole, 0.5, 0.0, 0)
