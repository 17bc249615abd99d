"""Where the images of a domain are, and what they show."""

import numpy as np
import pytest

from mtlgym.datasets.domains import image_lists


def write(folder, *names):
    """Empty files of these names, as nothing here decodes an image."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(images, folder):
    """Paths within the folder, and the class of each."""
    names = [path.relative_to(folder).as_posix() for path in images.paths]
    return list(zip(names, (images.classes[label] for label in images.labels), strict=True))


def test_a_folder_is_a_class_and_both_are_in_sorted_order(tmp_path):
    write(tmp_path, "art/b/2.PNG", "art/b/10.jpg", "art/a/x y.jpeg")
    images = image_lists.find(tmp_path, ["art"])
    pairs = [("art/a/x y.jpeg", "a"), ("art/b/10.jpg", "b"), ("art/b/2.PNG", "b")]
    assert found(images, tmp_path) == pairs
    assert images.classes == ("a", "b")
    assert images.labels.dtype == np.int64


def test_the_classes_may_be_in_a_folder_of_images(tmp_path):
    write(tmp_path, "dslr/images/mug/1.jpg", "dslr/interest_points/mug/1.jpg")
    assert found(image_lists.find(tmp_path, ["dslr"]), tmp_path) == [
        ("dslr/images/mug/1.jpg", "mug")
    ]


def test_what_is_hidden_or_no_image_is_passed_over(tmp_path):
    write(tmp_path, "art/a/1.jpg", "art/a/Thumbs.db", "art/.cache/1.jpg", "art/readme.txt")
    assert found(image_lists.find(tmp_path, ["art"]), tmp_path) == [("art/a/1.jpg", "a")]


def test_a_domain_is_found_however_it_is_spelled(tmp_path):
    write(tmp_path, "Real World/a/1.jpg", "features/real_world/a/2.jpg", "Art/a/1.jpg")
    images = image_lists.find(tmp_path, ["real world", "real"])
    assert found(images, tmp_path) == [("Real World/a/1.jpg", "a")]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_of_a_list_is_a_path_which_may_hold_spaces_and_a_label(tmp_path, end):
    write(tmp_path, "art/my cat.jpg", "art/x/2.jpg")
    lines = ["art/x/2.jpg 10", "", "art/my cat.jpg\t9 "]
    (tmp_path / "Art.txt").write_bytes(b"\xef\xbb\xbf" + end.join(lines).encode())
    images = image_lists.find(tmp_path, ["art"])
    assert found(images, tmp_path) == [("art/x/2.jpg", "10"), ("art/my cat.jpg", "9")]
    assert images.classes == ("9", "10")  # as numbers


def test_labels_that_are_no_numbers_are_sorted_as_words(tmp_path):
    write(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    (tmp_path / "art.txt").write_text("1.jpg mug\n2.jpg 10\n3.jpg 9\n")
    assert image_lists.find(tmp_path, ["art"]).classes == ("10", "9", "mug")


def test_lists_of_both_parts_are_read_before_folders_and_training_comes_first(tmp_path):
    write(tmp_path, "art/a/1.jpg", "art/a/2.jpg", "art/b/3.jpg")
    (tmp_path / "art_test.txt").write_text("art/a/1.jpg 0\n")
    (tmp_path / "art_train.txt").write_text("art/b/3.jpg 1\n")
    images = image_lists.find(tmp_path, ["art"])
    assert found(images, tmp_path) == [("art/b/3.jpg", "1"), ("art/a/1.jpg", "0")]


@pytest.mark.parametrize("name", ["art.txt", "Art_list.txt", "artList.txt", "b_list.txt", "B.txt"])
def test_a_text_that_is_no_list_is_passed_over(tmp_path, name):
    write(tmp_path, "art/a/1.jpg", "art/a/2.jpg")
    for stray in ("art_license", "art_readme", "art_train_old", "art_x_train"):
        (tmp_path / f"{stray}.txt").write_text("Of the images, all rights are reserved.")
    spellings = ["art", "b", "blist"]
    assert len(image_lists.find(tmp_path, spellings).paths) == 2
    (tmp_path / name).write_text("art/a/2.jpg 7\n")
    assert found(image_lists.find(tmp_path, spellings), tmp_path) == [("art/a/2.jpg", "7")]


def test_an_image_that_is_listed_twice_is_refused_with_both_places(tmp_path):
    write(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "art_train.txt").write_text("1.jpg 0\n2.jpg 0\n")
    (tmp_path / "art_test.txt").write_text("2.jpg 0\n")
    with pytest.raises(ValueError, match=r"art_test.txt, line 1: .*art_train.txt, line 2"):
        image_lists.find(tmp_path, ["art"])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1.jpg", "a path and a label are wanted, not '1.jpg'"),
        ("../1.jpg 0", "a path inside"),
        ("a/../../1.jpg 0", "a path inside"),
        ("..\\1.jpg 0", "a path inside"),
        ("/1.jpg 0", "a path inside"),
        ("c:/1.jpg 0", "a path inside"),
        ("1.gif 0", "an image"),
    ],
)
def test_a_line_of_another_form_is_refused_with_its_place(tmp_path, line, said):
    folder = tmp_path / "set"
    write(tmp_path, "1.jpg", "set/0.jpg", "set/a/0.jpg", "set/1.gif")
    (folder / "art.txt").write_text(f"0.jpg 0\n{line}\n")
    with pytest.raises(ValueError, match=r"art\.txt, line 2") as error:
        image_lists.find(folder, ["art"])
    assert said in str(error.value)


def test_a_listed_image_that_is_missing_is_named(tmp_path):
    (tmp_path / "art.txt").write_text("a/1.jpg 0\n")
    with pytest.raises(FileNotFoundError, match=r"art.txt, line 1: .*1.jpg is missing"):
        image_lists.find(tmp_path, ["art"])


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe1"])
def test_a_list_without_a_line_or_no_text_is_refused(tmp_path, content):
    (tmp_path / "art.txt").write_bytes(content)
    with pytest.raises(ValueError, match=r"art\.txt must"):
        image_lists.find(tmp_path, ["art"])


@pytest.mark.parametrize(
    "names",
    [["art_train.txt"], ["art_list.txt", "art_train.txt"], ["Art_train.txt", "art-train.txt"]],
)
def test_lists_that_are_not_one_nor_both_parts_are_refused(tmp_path, names):
    write(tmp_path, *names)
    with pytest.raises(ValueError, match=names[-1]):
        image_lists.find(tmp_path, ["art"])


def test_two_folders_of_one_domain_are_refused(tmp_path):
    write(tmp_path, "art one/a/1.jpg", "art two/a/1.jpg")
    with pytest.raises(ValueError, match=r"must have one folder .*, not art one, art two"):
        image_lists.find(tmp_path, ["art"])


def test_a_class_without_an_image_is_named(tmp_path):
    write(tmp_path, "art/a/1.jpg", "art/b/1.txt")
    with pytest.raises(ValueError, match="class 'b' must have an image"):
        image_lists.find(tmp_path, ["art"])


@pytest.mark.parametrize("names", [["product/a/1.jpg"], ["art/1.jpg"]])
def test_a_domain_without_images_is_told_what_is_wanted(tmp_path, names):
    write(tmp_path, *names)
    with pytest.raises(FileNotFoundError, match=r"wanted|a folder art/<class> of images"):
        image_lists.find(tmp_path, ["art"])


def test_domains_with_other_classes_are_refused(tmp_path):
    write(tmp_path, "art/a/1.jpg", "art/b/1.jpg", "product/a/1.jpg", "product/b/1.jpg")
    domains = {"art": ["art"], "product": ["product"]}
    assert list(image_lists.find_all(tmp_path, domains)) == ["art", "product"]
    write(tmp_path, "product/c/1.jpg")
    with pytest.raises(ValueError, match=r"'product' must be those of 'art'.*\['c'\]"):
        image_lists.find_all(tmp_path, domains)
