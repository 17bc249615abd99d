"""Tasks made of images' classes, and what is refused."""

import numpy as np
import pytest

from mtlgym.datasets.images.image_tasks import (
    SPLITS,
    ImageData,
    ImageTasks,
    by_groups,
    one_against_rest,
    take,
)

TASKS, CLASSES = ("a", "b"), (("p", "q"), ("r", "s", "t"))
IMAGES = np.arange(6, dtype=np.uint8).repeat(12).reshape(6, 2, 2, 3)


def split(**changes):
    fields = {
        "images": IMAGES,
        "index": np.array([0, 1, 2, 3, 4, 0]),
        "task": np.array([0, 0, 1, 1, 1, 1]),
        "label": np.array([0, 1, 0, 1, 2, 2]),
    }
    return ImageTasks(**{**fields, **changes})


def data(name="val", **changes):
    splits = {each: split(**changes) if each == name else split() for each in SPLITS}
    return ImageData(TASKS, CLASSES, splits)


@pytest.fixture
def labels():
    return np.random.default_rng(3).permutation(np.repeat(np.arange(6), [4, 5, 6, 7, 8, 9]))


@pytest.fixture
def images(labels):
    return np.broadcast_to(labels.astype(np.uint8)[:, None, None, None], (len(labels), 2, 3, 1))


def test_sound_samples_are_taken_and_counted():
    assert data().tasks == TASKS
    assert [len(each) for each in data().splits.values()] == [6, 6, 6]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": IMAGES[..., 0]}, r"`images` of val must .* not uint8 \(6, 2, 2\)"),
        ({"index": np.arange(5)}, "`index`, `task` and `label` of val must be of equal length"),
        ({"index": np.array([0, 1, 2, 3, 4, 6])}, r"`index` of val must lie in \[0, 6\), not be 6"),
        ({"index": np.array([-1, 1, 2, 3, 4, 5])}, r"`index` of val .* not be -1"),
        ({"task": np.array([0, 0, 1, 1, 1, 2])}, r"`task` of val must lie in \[0, 2\), not be 2"),
        ({"label": np.array([0, 2, 0, 1, 2, 2])}, r"`label` of val .* \[0, 2\) for task 'a', .* 2"),
        ({"label": np.array([0, 1, 0, 1, -1, 2])}, r"`label` of val .* for task 'b', not be -1"),
        ({"label": np.array([0, 1, 0, 2, 2, 2])}, "class 's' of task 'b' has no sample in val"),
    ],
)
def test_unsound_samples_are_refused_by_split_and_value(changes, message):
    with pytest.raises(ValueError, match=message):
        data(**changes)


def test_names_that_do_not_fit_are_refused():
    splits = {each: split() for each in SPLITS}
    with pytest.raises(ValueError, match="`classes` must be of each of"):
        ImageData(TASKS, CLASSES[:1], splits)
    with pytest.raises(ValueError, match="`classes` must be of each of"):
        ImageData((), (), splits)
    with pytest.raises(ValueError, match=r"`splits` must have .* not \('train', 'test'\)"):
        ImageData(TASKS, CLASSES, {each: split() for each in ("train", "test")})


def test_groups_of_classes_become_tasks_and_other_classes_are_left_out(images, labels):
    groups = [[4, 1], [5], [0, 3]]
    found = by_groups(images, labels, groups)
    expected = [
        (at, task, group.index(label))
        for at, label in enumerate(labels.tolist())
        for task, group in enumerate(groups)
        if label in group
    ]
    assert [*zip(found.index, found.task, found.label, strict=True)] == expected
    assert len(found) == len(labels) - 6  # class 2 is in no group
    assert found.images is images


def test_a_group_may_name_a_class_without_images(images, labels):
    found = by_groups(images, labels, [[0, 9]])
    assert {*found.label.tolist()} == {0}


def test_a_task_has_so_many_images_of_its_class_and_of_each_other(images, labels):
    tasks = [5, 0, 3]
    found = one_against_rest(images, labels, tasks, 4, 2, np.random.default_rng(0))
    for number, own in enumerate(tasks):
        here = found.task == number
        classes = labels[found.index[here]]
        expected = [4 if each == own else 2 for each in range(6)]
        assert np.bincount(classes, minlength=6).tolist() == expected
        np.testing.assert_array_equal(found.label[here], classes == own)
        assert len(np.unique(found.index[here])) == here.sum()
    assert found.images is images


def test_one_seed_draws_the_same_images_and_another_others(images, labels):
    first, second, other = (
        one_against_rest(images, labels, [1, 5], 4, 2, np.random.default_rng(seed))
        for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first.index, second.index)
    assert (first.index != other.index).any()


def test_each_image_of_a_class_is_drawn_as_often(images, labels):
    rng = np.random.default_rng(1)
    draws = 2000
    counts = np.zeros(len(labels))
    for _ in range(draws):
        found = one_against_rest(images, labels, [2], 3, 2, rng)
        counts[found.index] += 1
    there = np.bincount(labels)[labels]
    chance = np.where(labels == 2, 3, 2) / there
    deviation = np.sqrt(draws * chance * (1 - chance))
    assert (np.abs(counts - draws * chance) < 4.5 * deviation).all()


@pytest.mark.parametrize(("positives", "negatives"), [(5, 2), (2, 5)])
def test_a_class_with_too_few_images_is_refused_by_number(images, labels, positives, negatives):
    tasks = [0] if positives > negatives else [1]
    with pytest.raises(ValueError, match="class 0 has 4 images; 5 are asked for"):
        one_against_rest(images, labels, tasks, positives, negatives, np.random.default_rng(0))


def test_a_class_that_is_not_there_is_refused_by_number(images, labels):
    with pytest.raises(ValueError, match="class 6 has 0 images; 1 are asked for"):
        one_against_rest(images, labels, [6], 1, 1, np.random.default_rng(0))


def test_tasks_are_taken_in_the_order_asked_for_with_their_samples():
    found = take(data(), ["b", "a"])
    assert (found.tasks, found.classes) == (("b", "a"), CLASSES[::-1])
    for name, part in found.splits.items():
        whole = data().splits[name]
        assert part.task.tolist() == (1 - whole.task).tolist()
        assert part.label.tolist() == whole.label.tolist()


def test_one_of_the_tasks_is_taken_with_its_samples_alone():
    for asked in (["b"], ("b",)):
        found = take(data(), asked)
        assert found.classes == CLASSES[1:]
        assert found.splits["train"].index.tolist() == [2, 3, 4, 0]
        assert found.splits["train"].task.tolist() == [0] * 4
    assert take(data(), 1).tasks == ("a",)
    assert take(data(), None).tasks == TASKS


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (["c"], "unknown task 'c'"),
        (["a", "a"], "each once"),
        ([], "at least one task"),
        (0, "`tasks` must be from 1 to 2, or names, not 0"),
        (3, "`tasks` must be from 1 to 2, or names, not 3"),
    ],
)
def test_tasks_that_are_not_there_are_refused(tasks, message):
    with pytest.raises(ValueError, match=message):
        take(data(), tasks)
